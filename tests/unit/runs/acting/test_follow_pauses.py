"""What readers see of a run that waits: the pause ends a stream, and is not told any more once it is over."""

import asyncio
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any
from uuid import UUID

import pytest

from retinue.domain import events as e
from retinue.domain.errors import InvalidRequest, NotFound, StreamBroken, Unavailable
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position, new_id
from retinue.domain.model_io import TextPiece
from retinue.domain.runs import WaitingFor
from retinue.jobs.retention import prune_events
from retinue.runs import follow
from retinue.runs.looks import Looks
from tests.unit.runs.acting.books import ended, read_books
from tests.unit.runs.acting.story import decide_next, goes_on, office_with, started
from tests.unit.runs.acting.tools import a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, says, until
from tests.unit.runs.logs import kinds
from tests.unit.runs.process import Process


async def two_writes(world: World) -> Process:
    return await office_with(world, wants("a", "b"), says("Done."), tools=[a_write("a"), a_write("b")])


def ids(events: Sequence[RecordedEvent]) -> list[str]:
    return [event.id for event in events]


def behind(events: Sequence[RecordedEvent], place: Position) -> list[str]:
    return [event.id for event in events if event.position > place]


async def test_a_pause_is_the_end_of_a_stream_and_of_each_later_one(world: World) -> None:
    office = await two_writes(world)
    elsewhere = Process(world, name="elsewhere")
    run, live = await started(office)
    assert [event.is_pause for event in live] == [False] * (len(live) - 1) + [True]
    for process in (office, elsewhere):
        assert await process.follow(run) == live
        for place in (0, len(live) // 2, len(live) - 1):
            assert await process.follow(run, live[place].position) == live[place + 1 :]
    assert list((await read_books(world, run)).events) == live


async def test_a_database_that_is_away_for_a_moment_does_not_break_a_stream_at_its_pause(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = await two_writes(world)
    run, live = await started(office)
    real, asked = Looks._waits_at, 0

    async def away_at_first(*args: Any) -> bool:
        nonlocal asked
        asked += 1
        if asked == 1:
            raise Unavailable
        return await real(*args)

    monkeypatch.setattr(Looks, "_waits_at", away_at_first)
    assert await office.follow(run) == live
    assert asked == 2


async def test_a_database_that_stays_away_breaks_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    office = await two_writes(world)
    run, _ = await started(office)

    async def away(*_: Any) -> bool:
        raise Unavailable

    monkeypatch.setattr(Looks, "_waits_at", away)
    monkeypatch.setattr(follow, "PATIENCE_SECONDS", 0.01)
    with pytest.raises(StreamBroken):
        await office.follow(run)


async def test_a_pause_that_is_over_is_left_out(world: World) -> None:
    office = await two_writes(world)
    elsewhere = Process(world, name="elsewhere")
    run, first = await started(office)
    await decide_next(office)
    second = await goes_on(office, run)
    assert kinds(second).count("run.paused") == 1
    assert ids(second)[: len(first) - 1] == ids(first)[:-1]
    assert isinstance(second[-1].event, e.RunPaused)
    await decide_next(office)
    third = await goes_on(office, run)
    assert "run.paused" not in kinds(third)
    for process in (office, elsewhere):
        assert await process.follow(run) == third
        for place in (first[-1].position, second[-1].position):
            assert ids(await process.follow(run, place)) == behind(third, place)
    end = (await ended(world, run)).end
    assert end.event_count == len(third) + 2, "the end counts what is stored"


async def test_a_reader_that_looks_late_does_not_see_a_pause_that_is_over(world: World) -> None:
    """It has the first events, and takes the next ones when somebody has decided already."""
    gate = Gate()
    office = await office_with(world, [gate, *wants("a")], [TextPiece("Do"), *says("ne.")], tools=[a_write("a")])
    run = await office.start(await world.conversation())
    async with aclosing(office.service.follow(run.tenant_id, run.id)) as batches, asyncio.timeout(DEADLINE):
        seen = list(await anext(batches))
        await gate.wait_until_reached()
        gate.opened.set()
        await office.idle()
        await decide_next(office)
        await office.errands.finish()
        await office.idle()
        seen += [event async for batch in batches for event in batch]
    assert "run.paused" not in kinds(seen)
    assert seen == await office.follow(run)


async def test_a_reader_that_is_there_when_it_pauses_is_told_at_once(world: World) -> None:
    gate = Gate()
    office = await office_with(world, [gate, *wants("a")], tools=[a_write("a")])
    elsewhere = Process(world, name="elsewhere")
    run = await office.start(await world.conversation())
    await gate.wait_until_reached()
    readers = [asyncio.create_task(process.follow(run)) for process in (office, office, elsewhere)]
    await asyncio.sleep(0)
    gate.opened.set()
    seen = [await reader for reader in readers]
    assert seen[0] == seen[1] == seen[2]
    assert kinds(seen[0])[-3:] == ["approval.requested", "status.changed", "run.paused"]


async def test_who_waits_for_the_end_gets_the_pause_first(world: World) -> None:
    office = await office_with(world, wants("a"), says("Done."), tools=[a_write("a")])
    run = await office.start(await world.conversation())
    async with asyncio.timeout(DEADLINE):
        pause = await office.service.wait(run)
        assert isinstance(pause, e.RunPaused)
        assert pause.waiting_for is WaitingFor.APPROVAL
        await office.idle()
        await decide_next(office)
        await office.errands.finish()
        assert isinstance(await office.service.wait(run), e.RunCompleted)


async def test_whether_anything_follows_a_place(world: World) -> None:
    gate = Gate()
    office = await office_with(world, wants("a"), [gate, *says("Done.")], tools=[a_write("a")])
    run, events = await started(office)
    place, (tenant_id, run_id) = office.service.place, (run.tenant_id, run.id)
    pause = events[-1].position
    assert await place(tenant_id, run_id, pause)
    assert not await place(tenant_id, run_id, START)
    assert not await place(tenant_id, run_id, events[-2].position)
    for nowhere in (Position(1, pause.seq + 1), Position(2, 1)):
        with pytest.raises(InvalidRequest) as unknown:
            await place(tenant_id, run_id, nowhere)
        assert unknown.value.problem_code == "unknown_event_id"
    with pytest.raises(NotFound):
        await place(tenant_id, new_id(), pause)
    await decide_next(office)
    await gate.wait_until_reached()
    assert not await place(tenant_id, run_id, pause)
    assert not await place(tenant_id, run_id, Position(2, 2)), "it may come"
    gate.opened.set()
    all_events = await goes_on(office, run)
    assert await place(tenant_id, run_id, all_events[-1].position)
    assert not await place(tenant_id, run_id, pause)


async def test_what_is_read_at_once_tells_everything(world: World) -> None:
    office = await office_with(world, wants("a"), says("Done."), tools=[a_write("a")])
    run, before = await started(office)
    await decide_next(office)
    after = await goes_on(office, run)
    read = await office.service.read(run.tenant_id, run.id, START, 1000)
    assert ids(read) == ids(before) + ids(after)[len(before) - 1 :]


async def test_a_pruned_log_of_a_run_that_waited(world: World) -> None:
    office = await office_with(world, wants("a", text="I act. "), says("Done."), tools=[a_write("a")])
    run, before = await started(office)
    await decide_next(office)
    await goes_on(office, run)
    books = await ended(world, run)
    assert await prune_events(world.database, 0) == 1
    for after in (START, before[-1].position):
        snapshot, end = await office.follow(run, after)
        assert isinstance(snapshot.event, e.SnapshotTaken)
        assert (snapshot.event.text, snapshot.event.tool_log) == ("I act. Done.", books.answer.tool_log)
        assert end == books.events[-1]


async def test_a_reader_that_goes_away_while_it_asks_cuts_nothing_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = await two_writes(world)
    run, _ = await started(office)
    gate, answers = Gate(), list[bool]()
    ask = office.follower._looks._waits_at

    async def slowly(tenant_id: UUID, run_id: UUID, position: Position) -> bool:
        await gate()
        answers.append(await ask(tenant_id, run_id, position))
        return answers[-1]

    monkeypatch.setattr(office.follower._looks, "_waits_at", slowly)
    reading = asyncio.create_task(office.follow(run))
    await gate.wait_until_reached()
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    gate.opened.set()
    await until(lambda: answers == [True])


async def test_a_run_that_waits_is_not_pruned(world: World) -> None:
    office = await office_with(world, wants("a"), tools=[a_write("a")])
    run, events = await started(office)
    assert await prune_events(world.database, 0) == 0
    assert await office.follow(run) == events
