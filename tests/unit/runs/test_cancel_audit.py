"""Whoever stops something is in the audit trail: once for each run that was stopped, and not for others."""

import pytest

from retinue.domain.conversations import Conversation
from retinue.domain.errors import Conflict
from retinue.domain.runs import Run, RunStatus
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, says
from tests.unit.runs.process import Process


async def stopped(world: World) -> list[str]:
    """The runs of which the trail says that they were cancelled, oldest first."""
    async with world.database.unit(world.tenant.id, read_only=True) as unit:
        entries = await unit.audit.list(limit=100, action="run.cancelled", object_type="run")
    return [entry.object_id for entry in reversed(entries)]


async def at_work(world: World, gate: Gate, queued: int = 0) -> tuple[Process, Conversation, list[Run]]:
    """One run that is answering, and others behind it."""
    office = Process(world, [gate, *says("One.")], *[says("More.")] * 3)
    await office.configure()
    conversation = await world.conversation()
    runs = [await office.start(conversation)]
    await gate.wait_until_reached()
    runs += [await office.start(conversation, "Next", on_busy="enqueue") for _ in range(queued)]
    return office, conversation, runs


async def test_a_run_that_is_answering(world: World) -> None:
    office, _, [run] = await at_work(world, Gate())
    for _ in range(2):
        await office.service.cancel(run.tenant_id, run.id)
    assert await stopped(world) == [str(run.id)]


async def test_a_run_that_is_queued(world: World) -> None:
    office, _, [_, queued] = await at_work(world, Gate(), 1)
    for _ in range(2):
        await office.service.cancel(queued.tenant_id, queued.id)
    assert await stopped(world) == [str(queued.id)]


async def test_a_conversation(world: World) -> None:
    office, conversation, runs = await at_work(world, Gate(), 2)
    for _ in range(2):
        await office.service.cancel_conversation(conversation.tenant_id, conversation.id)
    assert sorted(await stopped(world)) == sorted(str(run.id) for run in runs)


async def test_a_conversation_whose_run_takes_its_time_to_stop(world: World) -> None:
    """Asked again meanwhile, nothing new has happened."""
    office, conversation, [run] = await at_work(world, Gate())
    async with world.database.unit(run.tenant_id) as unit:
        await unit.runs.request_cancel(run.id)
    await office.service.cancel_conversation(conversation.tenant_id, conversation.id)
    assert await stopped(world) == []


async def test_an_interrupted_run_and_an_interruption_that_is_superseded(world: World) -> None:
    gate = Gate()
    office, conversation, [run] = await at_work(world, gate)
    async with world.database.unit(run.tenant_id) as unit:
        await unit.runs.request_cancel(run.id)  # it is slow to hear of it
    first = await office.start(conversation, "No", on_busy="interrupt")
    assert await stopped(world) == []
    await office.start(conversation, "No, no", on_busy="interrupt")
    assert await stopped(world) == [str(first.id)]


async def test_a_run_that_is_interrupted(world: World) -> None:
    office, conversation, [run] = await at_work(world, Gate())
    await office.start(conversation, "Stop", on_busy="interrupt")
    await office.idle()
    assert await stopped(world) == [str(run.id)]


async def test_a_run_that_has_ended_was_not_cancelled(world: World) -> None:
    gate = Gate()
    office, _, [run] = await at_work(world, gate)
    gate.opened.set()
    await office.idle()
    with pytest.raises(Conflict):
        await office.service.cancel(run.tenant_id, run.id)
    assert (await world.run_now(run)).status is RunStatus.COMPLETED
    assert await stopped(world) == []
