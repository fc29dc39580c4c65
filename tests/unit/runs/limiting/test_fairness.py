"""Tenants in one process: however much one of them wants, another gets its turn."""

import asyncio
from typing import NamedTuple

import pytest

from retinue.domain.conversations import Conversation
from retinue.domain.errors import Unavailable
from retinue.domain.limits import NO_BOUNDS
from retinue.domain.model_io import UserTurn
from retinue.domain.runs import Run, RunStatus
from retinue.runs.context import RunCreate
from tests.contract.repositories.builders import a_tenant, an_employee
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, says, until
from tests.unit.runs.limiting.bounds import change_defaults, choose, runs, status_of
from tests.unit.runs.process import Process

pytestmark = pytest.mark.slow


class Neighbours(NamedTuple):
    """A process, and two tenants that use it."""

    office: Process
    noisy: World
    quiet: World

    async def ask(self, world: World, content: str, *, to: Conversation | None = None, on_busy: str = "reject") -> Run:
        conversation = to or await world.conversation()
        request = RunCreate(content=content, on_busy=on_busy)  # type: ignore[arg-type]
        return (await self.office.service.start(world.tenant.id, conversation.id, request)).run

    def asked(self) -> list[str]:
        """What the model was asked, in that order."""
        turns = [request.turns[-1] for request in self.office.provider.requests]
        return [turn.content for turn in turns if isinstance(turn, UserTurn)]


async def neighbours(world: World, office: Process) -> Neighbours:
    tenant = a_tenant(slug="quiet")
    employee = an_employee(tenant)
    async with world.database.operator() as operator:
        await operator.tenants.add(tenant)
    quiet = World(world.database, tenant, employee)
    async with world.database.unit(tenant.id) as unit:
        await unit.employees.add(employee)
    await office.configure()
    await Process(quiet).configure()
    return Neighbours(office, world, quiet)


async def test_who_comes_later_gets_the_first_place_that_is_free(world: World) -> None:
    """A tenant has all places and a queue behind each; it keeps what it has and gets no more."""
    gates = [Gate() for _ in range(4)]
    calls = [[gate, *says("Yes")] for gate in gates]
    office = Process(world, *calls, *[says("Yes") for _ in range(20)], max_active=4, tenant_share=0.5)
    both = await neighbours(world, office)
    conversations = [await world.conversation() for _ in range(4)]
    for gate, conversation in zip(gates, conversations, strict=True):
        await both.ask(world, "Noise", to=conversation)
        await gate.wait_until_reached()
    queued = [
        await both.ask(world, "More noise", to=each, on_busy="enqueue") for each in conversations for _ in range(3)
    ]
    with pytest.raises(Unavailable) as full:
        await both.ask(both.quiet, "Quiet")
    assert full.value.problem_code == "too_many_runs"
    gates[0].opened.set()
    await until(lambda: office.supervisor.active_count == 3)
    await office.errands.finish()
    await office.look()
    assert "More noise" not in both.asked()
    answer = await both.ask(both.quiet, "Quiet")
    await until(lambda: not office.supervisor.runs(answer.id))
    assert (await both.quiet.run_now(answer)).status is RunStatus.COMPLETED
    for gate in gates:
        gate.opened.set()
    office.supervisor._places._turned_away.clear()  # as it is after a while
    while [run for run in queued if await status_of(world, run) is not RunStatus.COMPLETED]:
        await office.look()
        await office.idle()


async def test_queues_of_tenants_move_by_turns(world: World) -> None:
    gates = [Gate(), Gate()]
    calls = [[gate, *says("Yes")] for gate in gates]
    later = [Gate() for _ in range(9)]
    office = Process(world, *calls, *[[gate, *says("Yes")] for gate in later], bounds=runs(1), max_active=4)
    both = await neighbours(world, office)
    for gate, each in zip(gates, (world, both.quiet), strict=True):
        await both.ask(each, "First")
        await gate.wait_until_reached()
    for number in range(6):
        await both.ask(world, f"Noise {number}", on_busy="enqueue")
    await both.ask(both.quiet, "Quiet", on_busy="enqueue")
    await office.errands.finish()
    change_defaults(office, NO_BOUNDS)
    await office.look()
    for gate in later[:2]:
        await gate.wait_until_reached()
    assert sorted(both.asked()[2:]) == ["Noise 0", "Quiet"]
    for gate in (*gates, *later):
        gate.opened.set()


async def test_a_tenant_that_is_alone_has_all_places(world: World) -> None:
    gate = Gate()
    office = Process(world, *[[gate, *says("Yes")] for _ in range(4)], max_active=4, tenant_share=0.25)
    await office.configure()
    for _ in range(4):
        await office.start(await world.conversation())
    assert office.supervisor.room == 0
    gate.opened.set()


async def answered(office: Process, *asked: Run) -> list[str]:
    """What the model was asked, in that order, once all of these are over."""
    async with asyncio.timeout(DEADLINE):
        while [run for run in asked if await status_of(office.world, run) in {RunStatus.QUEUED, RunStatus.RUNNING}]:
            await office.idle()
            if office.switchboard.look_around.is_set():
                office.switchboard.look_around.clear()
                await office.look()
    return [str(request.turns[-1].content) for request in office.provider.requests]  # type: ignore[union-attr]


@pytest.mark.parametrize("whose", ["tenant", "employee"])
async def test_queues_of_conversations_move_by_turns(world: World, whose: str) -> None:
    """Nobody keeps a place that others wait for by always having something more to say."""
    gates = [Gate(), Gate()]
    office = Process(world, *[[gate, *says("Yes")] for gate in gates], *[says("Yes") for _ in range(4)])
    await office.configure()
    talkative, other = await world.conversation(), await world.conversation()
    asked = [await office.start(talkative, "1"), await office.start(other, "2")]
    for gate in gates:
        await gate.wait_until_reached()
    for conversation, content in ((talkative, "3"), (other, "4"), (talkative, "5"), (other, "6")):
        asked.append(await office.start(conversation, content, on_busy="enqueue"))
    if whose == "tenant":
        await choose(office, runs(1))
    else:
        await office.change_employee(max_concurrent_tasks=1)
    for gate in gates:
        gate.opened.set()
    assert await answered(office, *asked) == ["1", "2", "3", "4", "5", "6"]


async def test_who_interrupts_keeps_the_place(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate], says("Yes"), says("Yes"), bounds=runs(1))
    await office.configure()
    impatient = await world.conversation()
    first = await office.start(impatient, "1")
    await gate.wait_until_reached()
    waiting = await office.start(await world.conversation(), "3", on_busy="enqueue")
    second = await office.start(impatient, "2", on_busy="interrupt")
    assert await answered(office, first, waiting, second) == ["1", "2", "3"]
