"""A process that stops lets go of its runs, so that others go on with them at once."""

import asyncio

import pytest

from retinue.domain import events as e
from retinue.domain.errors import StreamMoved
from retinue.domain.model_io import TextPiece
from retinue.domain.runs import Run, RunStatus
from retinue.domain.signals import SignalKind
from retinue.runs import storing
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, FirstGate, Gate, says
from tests.unit.runs.logs import kinds, places, whole
from tests.unit.runs.process import Process
from tests.unit.runs.test_runner import asks_for_tools

pytestmark = pytest.mark.slow


async def begun(office: Process, gate: Gate) -> Run:
    await office.configure()
    run = await office.start(await office.world.conversation())
    await gate.wait_until_reached()
    return run


async def drained(office: Process, grace: float = 0) -> None:
    async with asyncio.timeout(DEADLINE):
        await office.supervisor.drain(grace)


async def test_another_process_goes_on_at_once(world: World) -> None:
    gate = Gate()
    first = Process(world, [TextPiece("Hel"), gate], name="first")
    second = Process(world, says("Good day"), name="second")
    run = await begun(first, gate)
    await drained(first)
    assert first.provider.open_streams == 0
    let_go = await world.run_now(run)
    assert (let_go.status, let_go.attempt) == (RunStatus.RUNNING, 1)
    assert kinds(await world.stored(run))[-1] == "text.delta", "everything is stored"
    await second.look()
    events = await second.follow(run)
    whole(events)
    assert (await world.answer_now(run)).content == "Good day"
    assert "run.failed" not in kinds(events)


async def test_it_does_not_take_its_own_runs_back(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate], says("never"))
    run = await begun(office, gate)
    await drained(office)
    await office.look()
    assert not await office.dispatcher.resume(run.tenant_id, run.id)
    assert (await world.run_now(run)).attempt == 1


async def test_what_is_complete_is_kept(world: World) -> None:
    gate = Gate()
    first = Process(world, asks_for_tools(), [gate], name="first")
    second = Process(world, says("Found."), name="second")
    run = await begun(first, gate)
    await drained(first)
    await second.look()
    whole(await second.follow(run))
    assert len(second.provider.requests[0].turns) == 3


async def test_readers_get_everything_and_are_sent_elsewhere(world: World) -> None:
    gate = Gate()
    first = Process(world, [TextPiece("Hel"), gate], name="first")
    second = Process(world, says("Good day"), name="second")
    run = await begun(first, gate)
    read: list[e.RecordedEvent] = []

    async def follow() -> None:
        async for batch in first.service.follow(run.tenant_id, run.id):
            read.extend(batch)

    reader = asyncio.create_task(follow())
    await drained(first)
    first.stopping.set()
    first.wakes.wake_all()
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(StreamMoved):
            await reader
    assert read == list(await world.stored(run))
    assert kinds(read)[-1] == "text.delta"
    await second.look()
    rest = await second.follow(run, read[-1].position)
    whole([*read, *rest])


async def test_a_run_that_ends_within_the_grace_period_is_not_handed_over(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("Hello")])
    run = await begun(office, gate)
    draining = asyncio.create_task(office.supervisor.drain(3600))
    await asyncio.sleep(0)
    gate.opened.set()
    async with asyncio.timeout(DEADLINE):
        await draining
    assert (await world.run_now(run)).status is RunStatus.COMPLETED


async def test_a_run_that_has_not_begun_to_ask_is_handed_over_too(world: World) -> None:
    first = Process(world, name="first")
    second = Process(world, says("Hello"), name="second")
    await first.configure()
    run = await first.start(await world.conversation())
    first.runner(run).hand_over()
    await first.idle()
    assert first.provider.requests == []
    await second.look()
    events = await second.follow(run)
    whole(events)
    assert (kinds(events)[:2], places(events)[:2]) == (["run.started", "attempt.started"], ["1-1", "2-1"])


async def test_a_run_whose_end_is_being_stored_ends(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("Hello")])
    run = await begun(office, gate)
    world.database.hold = end = FirstGate()
    gate.opened.set()
    await end.wait_until_reached()
    draining = asyncio.create_task(office.supervisor.drain(0))
    for _ in range(5):
        await asyncio.sleep(0)
    end.opened.set()
    async with asyncio.timeout(DEADLINE):
        await draining
    whole(await office.follow(run))
    assert (await world.run_now(run)).status is RunStatus.COMPLETED


async def test_an_end_that_turns_out_not_to_be_one_is_handed_over(world: World) -> None:
    gate = Gate()
    first = Process(world, [gate, *says("One.")], says("never"), name="first")
    second = Process(world, says("One."), says("Two."), name="second")
    run = await begun(first, gate)
    world.database.hold = end = FirstGate()
    gate.opened.set()
    await end.wait_until_reached()
    async with world.database.unit(run.tenant_id, read_only=True) as unit:
        conversation = await unit.conversations.get(run.conversation_id)
    await second.start(conversation, "And this?", on_busy="append")
    draining = asyncio.create_task(first.supervisor.drain(0))
    for _ in range(5):
        await asyncio.sleep(0)
    end.opened.set()
    async with asyncio.timeout(DEADLINE):
        await draining
    assert len(first.provider.requests) == 1
    await second.look()
    whole(await second.follow(run))
    assert (await world.answer_now(run)).content == "One.\n\nTwo."


async def test_a_database_that_takes_nothing_does_not_keep_the_process(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    first = Process(world, [TextPiece("Hel"), gate], name="first")
    second = Process(world, says("Good day"), name="second")
    run = await begun(first, gate)
    monkeypatch.setattr(storing, "PATIENCE_SECONDS", 0)
    world.database.forecast.append("away")
    await drained(first)
    await second.look()
    assert (await world.run_now(run)).attempt == 1, "its lease has to run out"
    await world.expire(run, owner="first")
    await second.look()
    whole(await second.follow(run))


async def test_a_cancel_that_comes_meanwhile_is_minded_by_whoever_goes_on(world: World) -> None:
    gate = Gate()
    first = Process(world, [TextPiece("Hel"), gate], name="first")
    second = Process(world, name="second")
    run = await begun(first, gate)
    await drained(first)
    async with world.database.unit(run.tenant_id) as unit:
        await unit.runs.request_cancel(run.id)
    await second.look()
    events = await second.follow(run)
    assert isinstance(whole(events), e.RunCancelled)
    assert (await world.answer_now(run)).content == "Hel"


@pytest.mark.parametrize("how", ["hand-over", "death"])
async def test_whoever_goes_on_hears_of_what_waits_behind(world: World, how: str) -> None:
    """Only the process that is gone was told; nobody must have to look around for it."""
    gate = Gate()
    first = Process(world, [gate], name="first")
    second = Process(world, says("1"), says("2"), says("3"), name="second")
    await first.configure()
    run = await first.start(conversation := await world.conversation(), "First")
    await gate.wait_until_reached()
    waiting = [await first.start(conversation, word, on_busy="enqueue") for word in ("Second", "Third")]
    if how == "death":
        await first.freeze(run)
    else:
        first.runner(run).hand_over()
        await first.idle()
    await second.look()
    for each in (run, *waiting):
        whole(await second.follow(each))
    assert second.lookout._rounds == 1
    assert SignalKind.QUEUE in second.heard
