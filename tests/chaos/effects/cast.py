"""Errands of one tenant, drawn and begun."""

import random
from collections.abc import Iterable, Sequence
from functools import partial
from uuid import UUID

from retinue.domain.conversations import Conversation
from retinue.domain.tools import Resolution
from tests.chaos.effects.books import check_audit, check_doubt, check_errand, check_question
from tests.chaos.effects.errand import Errand
from tests.chaos.effects.points import IN_DOUBT, Point
from tests.chaos.effects.receiver import Receiver
from tests.chaos.effects.script import READ, SET, TOOLS, WRITE, Call
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.talk import KEY
from tests.support.client import RetinueClient
from tests.support.upstream import ThreadedUpstream

LATER_WRITE = 0.4
MORE_BEFORE = 0.3
DENIED = 0.4
"""Shares of the errands; of those that are denied something among those with a later write."""


class Cast:
    def __init__(
        self, world: Replicas, upstream: ThreadedUpstream, receiver: Receiver, rng: random.Random, tenant: UUID
    ) -> None:
        self.world, self.upstream, self.receiver, self.rng = world, upstream, receiver, rng
        self.tenant = tenant
        self.shift = 0
        """Turns what the person says of the calls in doubt, so that each point gets each answer."""
        self.errands: list[Errand] = []

    async def add(self, client: RetinueClient, employee: UUID, tool: str, point: Point | None = None) -> Errand:
        """One more errand, of any shape that has such a target."""
        conversation = await client.create_conversation(self.tenant, employee)
        marker = f"{conversation.id.hex[-6:]}.{len(self.errands)}"
        target = Call(tool, f"{marker}-target")
        before = [Call(self.rng.choice([SET, WRITE]), f"{marker}-before")] if self.rng.random() < MORE_BEFORE else []
        behind = Call(self.rng.choice([SET, WRITE]), f"{marker}-behind")
        turns = [[*before, target, Call(READ, f"{marker}-read")]]
        denies: set[str] = set()
        if self.rng.random() < LATER_WRITE:
            turns[0].append(behind)
            if self.rng.random() < DENIED:
                denies.add(behind.id)
                turns[0].append(Call(WRITE, f"{marker}-skipped"))
            turns.append([Call(WRITE, f"{marker}-later"), Call(READ, f"{marker}-last")])
        errand = Errand(
            self.world,
            self.upstream,
            self.receiver,
            random.Random(self.rng.random()),
            conversation=conversation.id,
            marker=marker,
            turns=turns,
            target=target,
            point=point,
        )
        errand.denies = denies
        if point in IN_DOUBT:
            place = (sorted(IN_DOUBT).index(point) + self.shift) % len(Resolution)
            errand.answers = [*Resolution][place:] + [*Resolution][:place]
        errand.on_doubt = partial(check_doubt, errand)
        errand.on_question = partial(check_question, errand)
        self.errands.append(errand)
        return errand

    def note_lost(self, pid: int) -> list[Errand]:
        """This process takes with it whatever stands in it."""
        lost = [errand for errand in self.errands if errand.pid == pid]
        for errand in lost:
            errand.has_lost_its_process = True
            if errand.gate is not None and errand.gate.was_left:
                errand.point = None  # it waited for slower ones until its time was over, and is just anywhere
        return lost

    def release(self) -> None:
        """Nobody stands still any more."""
        self.receiver.release()
        for errand in self.errands:
            errand.release_the_model()

    async def check(self, client: RetinueClient) -> None:
        """Look at everything, once all is over."""
        for errand in self.errands:
            await check_errand(errand, self.world.here, client)
        await check_audit(client, self.tenant, self.errands)
        self.upstream.check()

    def leave(self) -> None:
        for errand in self.errands:
            errand.leave()


async def employ(client: RetinueClient, upstream: ThreadedUpstream) -> Conversation:
    """A conversation with an employee of a new tenant who may use all of the receiver's tools."""
    tenant = await client.create_tenant()
    await client.configure(tenant.id, "openai", "echo", llm_base_url=upstream.openai_url, llm_api_key=KEY)
    employee = await client.create_employee(tenant.id, permission="write", tools=TOOLS)
    return await client.create_conversation(tenant.id, employee.id)


async def assemble(
    world: Replicas,
    upstream: ThreadedUpstream,
    receiver: Receiver,
    rng: random.Random,
    parts: Iterable[tuple[str, Point | None]],
    *,
    shift: int = 0,
) -> Cast:
    """One errand for each target and point."""
    client = world.here.client()
    like = await employ(client, upstream)
    cast = Cast(world, upstream, receiver, rng, like.tenant_id)
    cast.shift = shift
    for tool, point in parts:
        await cast.add(client, like.employee_id, tool, point)
    return cast


ALL_PARTS: Sequence[tuple[str, Point]] = [(tool, point) for tool in (WRITE, SET) for point in Point]
