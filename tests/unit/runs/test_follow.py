"""Readers: from the database to the live tail and back, without a hole and without a repetition."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retinue.coordination.memory import MemoryEventLog
from retinue.domain import events as e
from retinue.domain.errors import StreamBroken
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position, new_id
from retinue.domain.runs import Run, RunStatus
from retinue.runs import follow as module
from retinue.runs import looks
from retinue.runs.recorder import Recorder
from tests.support.runs import end_fields
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE


async def store(world: World, run: Run, events: Sequence[RecordedEvent], *, status: RunStatus | None = None) -> None:
    """What the writer does, or the runner at its end."""
    async with world.database.unit(run.tenant_id) as unit:
        await unit.run_events.add(run.id, events[0].position.attempt, events)
        if status is not None:
            assert await unit.runs.finish(
                run.id, run.attempt, status=status, finish_reason="stop", error_code=None, usage=None, cost=None,
                generation_stats=None, event_count=len(events), text_sha256="0", at=run.created_at,
            )  # fmt: skip


def say(recorder: Recorder, count: int) -> None:
    for _ in range(count):
        recorder.record(e.TextDelta(delta=str(recorder.event_count + 1)))


async def end(world: World, run: Run, recorder: Recorder) -> None:
    terminal = recorder.seal(e.RunCompleted(**end_fields()))
    await store(world, run, [*recorder.take_unstored(), terminal], status=RunStatus.COMPLETED)
    recorder.announce(terminal)


def seqs(events: Sequence[RecordedEvent]) -> list[int]:
    return [event.position.seq for event in events]


async def following(world: World, run: Run, after: Position = START) -> AsyncGenerator[RecordedEvent, None]:
    async for batch in world.follower.follow(run.tenant_id, run.id, after):
        for event in batch:
            yield event


async def read(stream: AsyncGenerator[RecordedEvent, None], count: int) -> list[int]:
    async with asyncio.timeout(DEADLINE):
        return [(await anext(stream)).position.seq for _ in range(count)]


async def test_a_live_run_is_read_as_it_happens(world: World) -> None:
    run = await world.run()
    recorder = world.recorder(run)
    stream = following(world, run)
    say(recorder, 2)
    assert await read(stream, 2) == [1, 2]
    say(recorder, 1)
    assert await read(stream, 1) == [3]
    await end(world, run, recorder)
    assert await read(stream, 1) == [4]
    assert [event async for event in stream] == []


@pytest.mark.parametrize("seen", range(7))
async def test_a_finished_run_is_read_from_any_position(world: World, seen: int) -> None:
    run = await world.run()
    recorder = world.recorder(run)
    say(recorder, 5)
    await end(world, run, recorder)
    assert seqs(await world.follow(run, Position(1, seen))) == list(range(seen + 1, 7))


async def test_from_a_gap_to_the_database_and_back_to_the_tail(world: World) -> None:
    world.use_window(3)
    run = await world.run()
    recorder = world.recorder(run)
    say(recorder, 6)
    await store(world, run, recorder.take_unstored())
    say(recorder, 2)  # the window holds 6, 7, 8; the last two are only there
    stream = following(world, run)
    assert await read(stream, 8) == [1, 2, 3, 4, 5, 6, 7, 8]
    say(recorder, 5)
    await store(world, run, recorder.take_unstored())
    assert await read(stream, 5) == [9, 10, 11, 12, 13]
    await end(world, run, recorder)
    assert await read(stream, 1) == [14]


async def test_a_gap_whose_events_are_not_stored_yet_is_waited_for(world: World) -> None:
    world.use_window(2)
    run = await world.run()
    recorder = world.recorder(run)
    say(recorder, 4)
    stream = following(world, run)
    reader = asyncio.create_task(read(stream, 4))
    await asyncio.sleep(0)
    assert not reader.done()
    await store(world, run, recorder.take_unstored())
    assert await reader == [1, 2, 3, 4]
    await stream.aclose()


async def test_a_run_of_another_process_is_read_from_the_database(world: World) -> None:
    run = await world.run()
    world.log.close(run.id)
    elsewhere = world.recorder(run, log=MemoryEventLog())
    stream = following(world, run)
    reader = asyncio.create_task(read(stream, 2))
    say(elsewhere, 2)
    await store(world, run, elsewhere.take_unstored())
    assert await reader == [1, 2]
    reader = asyncio.create_task(read(stream, 2))
    say(elsewhere, 1)
    await end(world, run, elsewhere)
    assert await reader == [3, 4]


async def test_a_long_stored_log_is_read_page_by_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(looks, "PAGE_ROWS", 2)
    run = await world.run()
    recorder = world.recorder(run)
    for _ in range(7):
        say(recorder, 3)
        await store(world, run, recorder.take_unstored())
    await end(world, run, recorder)
    batches = [batch async for batch in world.follower.follow(run.tenant_id, run.id)]
    assert [len(batch) for batch in batches] == [6, 6, 6, 4]
    assert seqs([event for batch in batches for event in batch]) == list(range(1, 23))


async def test_a_later_attempt_follows_an_earlier_one(world: World) -> None:
    run = await world.run(lease_seconds=-1)
    recorder = world.recorder(run)
    say(recorder, 2)
    await store(world, run, recorder.take_unstored())
    world.log.close(run.id)
    stream = following(world, run, Position(1, 1))
    assert await read(stream, 1) == [2]
    async with world.database.unit(run.tenant_id) as unit:
        claimed = await unit.runs.claim(run.id, 1, owner="another", lease_seconds=60)
    assert claimed is not None
    elsewhere = world.recorder(claimed, log=MemoryEventLog())
    say(elsewhere, 1)
    await end(world, claimed, elsewhere)
    async with asyncio.timeout(DEADLINE):
        assert [event.position async for event in stream] == [(2, 1), (2, 2)]


async def test_a_broken_tail_breaks_the_reader_off_after_what_there_was(world: World) -> None:
    run = await world.run()
    recorder = world.recorder(run)
    say(recorder, 2)
    stream = following(world, run)
    assert await read(stream, 1) == [1]
    recorder.abandon()
    assert await read(stream, 1) == [2]
    with pytest.raises(StreamBroken):
        await read(stream, 1)


async def test_behind_the_window_of_a_broken_run_there_is_no_waiting(world: World) -> None:
    """What fell out of the window and never reached the database will not come any more."""
    world.use_window(4)
    run = await world.run()
    recorder = world.recorder(run)
    say(recorder, 2)
    stream = following(world, run)
    async with asyncio.timeout(DEADLINE):
        await anext(stream)
        await store(world, run, recorder.take_unstored())
        say(recorder, 9)
        recorder.abandon()
        assert (await anext(stream)).position == (1, 2)
        with pytest.raises(StreamBroken):
            await anext(stream)


async def test_a_reader_leaves_with_the_end_even_if_the_tail_is_still_open(world: World) -> None:
    run = await world.run()
    recorder = world.recorder(run)
    say(recorder, 1)
    world.log.publish(recorder.seal(e.RunCompleted(**end_fields())))
    assert seqs(await world.follow(run)) == [1, 2]


async def test_reading_on_after_the_end_gives_nothing(world: World) -> None:
    run = await world.run()
    recorder = world.recorder(run)
    say(recorder, 1)
    await end(world, run, recorder)
    assert await world.follow(run, Position(1, 2)) == []


async def test_a_position_that_the_run_never_reached_is_no_end(world: World) -> None:
    run = await world.run()
    recorder = world.recorder(run)
    await end(world, run, recorder)
    with pytest.raises(StreamBroken):
        await world.follow(run, Position(1, 2))


async def test_a_run_that_is_gone_breaks_the_reader_off(world: World) -> None:
    run = await world.run()
    world.log.close(run.id)
    stream = following(world, run)
    reader = asyncio.create_task(read(stream, 1))
    await asyncio.sleep(0)
    async with world.database.unit(run.tenant_id) as unit:
        await unit.conversations.delete(run.conversation_id)
    with pytest.raises(StreamBroken):
        await reader


async def test_another_tenants_run_is_not_there(world: World) -> None:
    run = await world.run()
    world.log.close(run.id)
    recorder = world.recorder(run)
    say(recorder, 1)
    await store(world, run, recorder.take_unstored())
    with pytest.raises(StreamBroken):
        await anext(world.follower.follow(new_id(), run.id))


async def test_a_stopping_process_lets_readers_of_other_processes_go(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 3600)
    run = await world.run()
    world.log.close(run.id)
    stream = following(world, run)
    reader = asyncio.create_task(read(stream, 1))
    await asyncio.sleep(0)
    world.stopping.set()
    with pytest.raises(StreamBroken):
        await reader


async def test_a_reader_that_goes_away_in_the_middle_leaves_nothing_behind(world: World) -> None:
    run = await world.run()
    recorder = world.recorder(run)
    say(recorder, 3)
    stream = world.follower.follow(run.tenant_id, run.id)
    async with asyncio.timeout(DEADLINE):
        await anext(stream)
        reader = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)
        await stream.aclose()
    await end(world, run, recorder)
    assert seqs(await world.follow(run)) == [1, 2, 3, 4]


actions = st.lists(st.sampled_from(["say", "say", "store", "read"]), max_size=25)


async def live(world: World, run: Run, recorder: Recorder, timing: Sequence[str]) -> None:
    """Speak, have it stored, and give readers their turn, in this order; then end."""
    for action in timing:
        if action == "say":
            say(recorder, 2)
        elif action == "store" and (waiting := recorder.take_unstored()):
            await store(world, run, waiting)
        else:
            await asyncio.sleep(0)
    await end(world, run, recorder)


@pytest.mark.slow
@given(actions, st.integers(1, 6))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
async def test_whatever_the_timing_a_reader_gets_everything_once(world: World, timing: list[str], window: int) -> None:
    world.use_window(window)
    run = await world.run()
    recorder = world.recorder(run)
    reader = asyncio.create_task(world.follow(run))
    await live(world, run, recorder, timing)
    events = await reader
    assert seqs(events) == list(range(1, recorder.event_count + 1))
    assert events[-1].is_terminal
