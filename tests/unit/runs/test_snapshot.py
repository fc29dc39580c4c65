"""What is told of events that are not kept any more, and what anybody may ask of a log without following it."""

import pytest

from retinue.domain import events as e
from retinue.domain.errors import InvalidRequest, NotFound, StreamBroken
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position, new_id
from retinue.domain.model_io import TextPiece
from retinue.domain.runs import Run
from retinue.jobs.retention import prune_events
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, says
from tests.unit.runs.logs import kinds, whole
from tests.unit.runs.process import Process
from tests.unit.runs.test_runner import asks_for_tools


async def a_run_of_two_attempts(world: World) -> tuple[Process, Run, list[RecordedEvent]]:
    gate = Gate()
    first = Process(world, [TextPiece("I look. "), *asks_for_tools()], [TextPiece("lost"), gate], name="first")
    second = Process(world, says("Found."), name="second")
    await first.configure()
    run = await first.start(await world.conversation())
    await gate.wait_until_reached()
    await first.flush()
    await first.freeze(run)
    await second.look()
    events = await second.follow(run)
    whole(events)
    await second.idle()
    return second, run, events


async def pruned(world: World) -> tuple[Process, Run, RecordedEvent]:
    office, run, events = await a_run_of_two_attempts(world)
    assert await prune_events(world.database, -1) == 1
    return office, run, events[-1]


async def test_from_the_beginning_of_a_pruned_run(world: World) -> None:
    office, run, end = await pruned(world)
    snapshot, last = await office.follow(run)
    assert last == end
    attempt, seq = end.position
    assert snapshot.position == (attempt, seq - 1)
    answer = await world.answer_now(run)
    assert snapshot.event == e.SnapshotTaken(
        conversation_id=run.conversation_id,
        employee_id=run.employee_id,
        user_message_id=run.user_message_id,
        message_id=run.message_id,
        status="completed",
        text="I look. Found.",
        reasoning=None,
        tool_log=answer.tool_log,
    )
    assert len(answer.tool_log) == 1


@pytest.mark.parametrize("after", [Position(1, 1), Position(1, 5), Position(1, 99), Position(2, 1), Position(2, 3)])
async def test_from_the_middle_of_a_pruned_run(world: World, after: Position) -> None:
    office, run, end = await pruned(world)
    events = await office.follow(run, after)
    assert (kinds(events), events[-1]) == (["snapshot.taken", "run.completed"], end)


async def test_behind_the_snapshot_only_the_end_is_left(world: World) -> None:
    office, run, end = await pruned(world)
    snapshot, _ = await office.follow(run)
    assert await office.follow(run, snapshot.position) == [end]
    assert await office.follow(run, end.position) == []
    with pytest.raises(StreamBroken):
        await office.follow(run, Position(end.position.attempt, end.position.seq + 1))


async def test_pruning_keeps_messages_tool_log_and_usage(world: World) -> None:
    _, run, _ = await a_run_of_two_attempts(world)
    before = [await world.messages_now(run.conversation_id), await world.ledger_now(run)]
    assert await prune_events(world.database, 3600) == 0, "not old enough"
    assert await prune_events(world.database, -1) == 1
    assert await prune_events(world.database, -1) == 0
    assert [await world.messages_now(run.conversation_id), await world.ledger_now(run)] == before
    assert await world.checkpoints_now(run) == []
    async with world.database.unit(run.tenant_id, read_only=True) as unit:
        assert len(await unit.tool_calls.list(run.id)) == 1
        assert len(await unit.run_events.read(run.id)) == 1
    assert (await world.run_now(run)).pruned_at is not None


async def test_a_run_that_is_pruned_while_somebody_reads_it(world: World) -> None:
    office, run, events = await a_run_of_two_attempts(world)
    stream = office.service.follow(run.tenant_id, run.id, events[2].position)
    await prune_events(world.database, -1)
    assert kinds(await anext(stream)) == ["snapshot.taken", "run.completed"]
    await stream.aclose()


async def test_stored_events_are_read_in_pages(world: World) -> None:
    office, run, events = await a_run_of_two_attempts(world)
    read = office.service.read
    pages, cursor = [], START
    while page := await read(run.tenant_id, run.id, cursor, 4):
        pages.append(page)
        cursor = page[-1].position
    assert [len(page) for page in pages[:-1]] == [4] * (len(pages) - 1)
    assert [event for page in pages for event in page] == events
    assert list(await read(run.tenant_id, run.id, events[4].position, 1000)) == events[5:]
    await prune_events(world.database, -1)
    assert kinds(await read(run.tenant_id, run.id, START, 10)) == ["snapshot.taken", "run.completed"]
    assert kinds(await read(run.tenant_id, run.id, START, 1)) == ["snapshot.taken"]


async def test_reading_waits_for_nothing(world: World) -> None:
    gate = Gate()
    office = Process(world, [TextPiece("Hel"), gate])
    await office.configure()
    run = await office.start(await world.conversation())
    await gate.wait_until_reached()
    assert list(await office.service.read(run.tenant_id, run.id, START, 10)) == []
    await office.flush()
    stored = await office.service.read(run.tenant_id, run.id, START, 10)
    assert kinds(stored)[-1] == "text.delta"
    assert list(await office.service.read(run.tenant_id, run.id, stored[-1].position, 10)) == []


@pytest.mark.parametrize("whose", ["another tenant", "nobody"])
async def test_what_is_not_there_cannot_be_read_or_placed(world: World, whose: str) -> None:
    run = await world.run()
    tenant_id, run_id = (new_id(), run.id) if whose == "another tenant" else (run.tenant_id, new_id())
    with pytest.raises(NotFound):
        await world.follower.read(tenant_id, run_id, START, 10)
    with pytest.raises(NotFound):
        await world.follower.place(tenant_id, run_id, START)


async def test_whether_anything_will_follow_a_position(world: World) -> None:
    office, run, events = await a_run_of_two_attempts(world)
    place = office.service.place
    for event in events[:-1]:
        assert not await place(run.tenant_id, run.id, event.position)
    assert not await place(run.tenant_id, run.id, Position(1, 99)), "seen, but never stored"
    attempt, last = events[-1].position
    assert await place(run.tenant_id, run.id, Position(attempt, last))
    for beyond in (Position(attempt, last + 1), Position(attempt + 1, 1)):
        with pytest.raises(InvalidRequest) as refused:
            await place(run.tenant_id, run.id, beyond)
        assert refused.value.problem_code == "unknown_event_id"


async def test_of_an_active_run_only_its_attempts_are_known(world: World) -> None:
    run = await world.run()
    assert not await world.follower.place(run.tenant_id, run.id, Position(1, 7))
    with pytest.raises(InvalidRequest):
        await world.follower.place(run.tenant_id, run.id, Position(2, 1))
