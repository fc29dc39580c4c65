"""One conversation in which an employee acts, with everybody who takes part: the user, who reads along, and the person
who decides."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from typing import Any
from uuid import UUID

from retinue.domain.runs import Run, RunStatus, WaitingFor
from retinue.domain.tools import Resolution
from tests.chaos.effects.points import GATES, Point
from tests.chaos.effects.receiver import Gate, Receiver
from tests.chaos.effects.script import Call, Turn, held, script
from tests.chaos.logs import Event, events_of
from tests.chaos.posts import GONE, LATER
from tests.chaos.world import PATIENCE, asked_for, follow, send
from tests.e2e.streams.servers import Replicas
from tests.support.client import Answer, RetinueClient
from tests.support.sse import EventStream
from tests.support.upstream import ThreadedUpstream

GRACE = 0.1
"""Seconds between two looks."""
SAID = {"receipt": "found by a person"}


async def nothing(_: str) -> None:
    """The default of `Errand.on_doubt`."""


class Errand:
    """The target is the call at which a process is to be lost."""

    def __init__(
        self,
        world: Replicas,
        upstream: ThreadedUpstream,
        receiver: Receiver,
        rng: random.Random,
        *,
        conversation: UUID,
        marker: str,
        turns: Sequence[Turn],
        target: Call,
        point: Point | None = None,
    ) -> None:
        self.world, self.upstream, self.receiver, self.rng = world, upstream, receiver, rng
        self.conversation, self.marker, self.turns = conversation, marker, turns
        self.target, self.point = target, point
        self.calls = [call for turn in turns for call in turn]
        self.clients = [server.client() for server in world]
        self.run: UUID | None = None
        self.tenant: UUID | None = None
        self.seen: list[Event] = []
        self.decisions: dict[str, str] = {}
        """By the ids of the calls."""
        self.resolutions: dict[str, list[Resolution]] = {}
        self.asked_by_then: dict[int, int] = {}
        """Requests to the model for a step when somebody was asked about one of its calls."""
        self.denies: set[str] = set()
        """Ids of the calls that the person does not want."""
        self.answers = [Resolution.HAPPENED, Resolution.DID_NOT_HAPPEN, Resolution.RETRY]
        rng.shuffle(self.answers)
        self.pid: int | None = None
        """The process that stands at the point."""
        self.gate: Gate | None = None
        """Where it stands."""
        self.has_lost_its_process = False
        """Whether that process is gone, and the run was in it."""
        self.on_doubt: Callable[[str], Awaitable[None]] = nothing
        """Called with the id of each call of which nobody knows, before somebody says what it did."""
        self.on_question = nothing
        """The same for each call about which a person is asked, before the answer."""
        self.note = ""

    def __str__(self) -> str:
        last = self.seen[-1].id.partition(":")[2] if self.seen else None
        return f"{self.marker} {self.target.tool} at {self.point} run={self.run} last={last} {self.note}"

    # ------------------------------------------------------------------------------------------ the user

    async def begin(self, client: RetinueClient | None = None) -> None:
        """Say what is wanted, and read along from then on, whatever happens to the connection."""
        step = next(number for number, turn in enumerate(self.turns, 1) if self.target in turn)
        hold_at = step + 1 if self.point is Point.NEXT_CALL else None
        response = await send(
            client or self.clients[0],
            self.conversation,
            script(self.marker, self.turns, hold_at=hold_at),
            protocol="events",
        )
        assert response.status == 200, await response.read()
        stream = EventStream(response)
        self.seen += events_of(await stream.take(1))
        self.run = UUID(self.seen[0].data["run_id"])
        self._reading = asyncio.create_task(self._read_along(stream))

    async def _read_along(self, stream: EventStream | None) -> None:
        while not self.seen[-1].is_terminal:
            try:
                if stream is not None:
                    async with stream:
                        async for frame in stream:
                            # A stream that breaks off for a while says so, outside the log.
                            self.seen += events_of([frame] if frame.id else [])
                stream = await self._come_back()
            except GONE as error:
                self.note = repr(error)[:80]
                stream = None
            if stream is None:
                await asyncio.sleep(GRACE)

    async def _come_back(self) -> EventStream | None:
        assert self.run is not None
        return await follow(self.rng.choice(self.clients), self.run, self.seen[-1].id)

    async def read_to_the_end(self, *, within: float = PATIENCE) -> None:
        async with asyncio.timeout(within):
            await self._reading

    def leave(self) -> None:
        """Stop reading, if it has begun."""
        if self.run is not None:
            self._reading.cancel()

    # ------------------------------------------------------------------------------------------ the person

    async def call(self, method: str, path: str, body: object = None) -> Answer:
        """Ask until a server answers."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    answer = await self.rng.choice(self.clients).call(method, path, body)
                    if answer.status < 500 or not (answer.status == 503 or answer.json["code"] in LATER):
                        return answer
                    self.note = f"{answer.status} {answer.json['code']}"
                except GONE as error:
                    self.note = repr(error)[:80]
                await asyncio.sleep(GRACE)

    async def look(self) -> Run:
        return (await self.call("GET", f"/runs/{self.run}")).expect(200).as_type(Run)

    async def pending(self) -> list[dict[str, Any]]:
        """What this run asks, oldest first."""
        if self.tenant is None:
            self.tenant = (await self.look()).tenant_id
        answer = await self.call("GET", f"/approvals/pending?tenant_id={self.tenant}&limit=200")
        return [asked for asked in answer.expect(200).json if asked["run_id"] == str(self.run)]

    async def decide(self, approval: dict[str, Any]) -> None:
        """Answer once; where the answer to that got lost, the approval tells whether it has arrived."""
        call_id = approval["tool_call_id"]
        await self.on_question(call_id)
        step = next(step for step, turn in enumerate(self.turns, 1) if call_id in [call.id for call in turn])
        self.asked_by_then[step] = len(self.asks(step))
        word = "deny" if call_id in self.denies else "allow_once"
        answer = await self.call("POST", f"/approvals/{approval['approval_id']}/{word}")
        if answer.status != 200:
            answer.problem(409, "approval_decided")
            shown = (await self.call("GET", f"/approvals/{approval['approval_id']}")).expect(200).json
            assert shown["decision"] == word, shown
        self.decisions[call_id] = word

    async def resolve(self, call_id: str, resolution: Resolution) -> None:
        body: dict[str, Any] = {"tool_call_id": call_id, "outcome": resolution.value}
        if resolution is Resolution.HAPPENED:
            body["result"] = SAID
        self.resolutions.setdefault(call_id, []).append(resolution)
        answer = await self.call("POST", f"/runs/{self.run}/resolve-effect", body)
        if answer.status != 200:
            answer.problem(409, "effect_known")
            assert self.note, "refused although no answer got lost"

    async def doubts(self) -> list[str]:
        """The calls of which the run says that nobody knows what they did."""
        last = (await self.call("GET", f"/runs/{self.run}/events?limit=200")).expect(200).json[-1]
        assert (last["type"], last["waiting_for"]) == ("run.paused", "effect_unknown"), last
        return list(last["tool_call_ids"])

    # ------------------------------------------------------------------------------------------ what happens

    async def advance(self, *, until: Call | None = None) -> Run | None:
        """Do what the run waits for next, if it waits. Returns it once it is over, or once it asks about `until`."""
        run = await self.look()
        if run.status not in {RunStatus.RUNNING, RunStatus.WAITING}:
            return run
        if run.waiting_for is WaitingFor.APPROVAL:
            for approval in (await self.pending())[:1]:
                if until is not None and approval["tool_call_id"] == until.id:
                    return run
                await self.decide(approval)
        elif run.waiting_for is WaitingFor.EFFECT_UNKNOWN:
            for call_id in await self.doubts():
                await self.on_doubt(call_id)
                await self.resolve(call_id, self.answers[len(self.resolutions.get(call_id, [])) % len(self.answers)])
        else:
            await asyncio.sleep(GRACE)
        return None

    async def finish(self) -> None:
        """Be the person until the run is over and has been read to its end."""
        await self.decide_to_the_end()
        await self.read_to_the_end()

    async def decide_to_the_end(self, *, within: float = PATIENCE) -> None:
        async with asyncio.timeout(within):
            while await self.advance() is None:
                pass

    async def go_to_the_point(self, client: RetinueClient | None = None) -> None:
        """Let it come to its point, where it stands still until the receiver and the upstream release it."""
        assert self.point is not None
        gate: Gate | None = None
        if self.point in {Point.PLANNING, Point.PROPOSED}:
            gate = self._arm(self.target, skip=int(self.point is Point.PROPOSED))
        await self.begin(client)
        async with asyncio.timeout(PATIENCE):
            if gate is None:
                while await self.advance(until=self.target) is None:
                    pass
                gate = await self._pass_the_decision()
            while gate is not None and gate.pid is None:  # noqa: ASYNC110
                await asyncio.sleep(GRACE)
        self.pid = gate.pid if gate else self.pid
        self.gate = gate

    async def _pass_the_decision(self) -> Gate | None:
        [approval, *_] = await self.pending()
        if self.point is Point.ASKED:
            return None
        turn = next(turn for turn in self.turns if self.target in turn)
        stands = turn[turn.index(self.target) + 1] if self.point is Point.SETTLED else self.target
        gate = None if self.point is Point.NEXT_CALL else self._arm(stands)
        await self.decide(approval)
        if gate is None:
            await self._go_to_the_next_call(turn)
        return gate

    async def _go_to_the_next_call(self, turn: Turn) -> None:
        step = list(self.turns).index(turn) + 1
        while len(self.asks(step + 1)) == 0:
            await self.advance()
        made = [delivery for call in turn for delivery in self.receiver.of(call.marker)]
        self.pid = max(made, key=lambda delivery: delivery.at).pid

    def _arm(self, call: Call, *, skip: int = 0) -> Gate:
        assert self.point is not None
        return self.receiver.arm(GATES[self.point], call.marker, skip=skip)

    def release_the_model(self) -> None:
        for step in range(1, len(self.turns) + 2):
            self.upstream.release(held(self.marker, step))

    def asks(self, step: int) -> list[Any]:
        """The requests to the model for a step, counted from 1."""
        requests = asked_for(self.upstream, f'"{self.target.marker}"')
        bodies = [request.body for request in requests]
        return [body for body in bodies if sum(one["role"] == "assistant" for one in body["messages"]) == step - 1]
