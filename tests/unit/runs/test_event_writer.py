"""Batches of events on their way to the database."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest

from retinue.db.executor import Executor
from retinue.db.scripts import Course, Script
from retinue.domain import events as e
from retinue.domain.errors import StorageFailed
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START
from retinue.domain.runs import Run, RunStatus
from retinue.runs import recorder as module
from retinue.runs.event_writer import EventWriter
from retinue.runs.recorder import MAX_UNSTORED, Recorder
from tests.contract.repositories.builders import a_conversation, a_tenant, an_employee
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, StubProvider, Weather, says, until

NEVER = 3600.0


@asynccontextmanager
async def writing(world: World, *, batch: int = 64, flush_seconds: float = 0.001) -> AsyncGenerator[EventWriter, None]:
    """A writer at work, the one that the world's recorders tell."""
    world.writer = EventWriter(world.database, batch=batch, flush_seconds=flush_seconds)
    task = asyncio.create_task(world.writer.run())
    try:
        yield world.writer
        assert not task.done(), "the writer must survive whatever happens"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def say(recorder: Recorder, *words: str) -> None:
    for word in words:
        recorder.record(e.TextDelta(delta=word))


def words(events: Sequence[RecordedEvent]) -> str:
    return "".join(event.event.delta for event in events if isinstance(event.event, e.TextDelta))


async def stored_words(world: World, run: Run, expected: str) -> None:
    """Wait until exactly this is stored."""
    async with asyncio.timeout(DEADLINE):
        while words(await world.stored(run)) != expected:
            pass


async def test_events_are_stored_after_the_flush_time(world: World) -> None:
    async with writing(world):
        run = await world.run()
        say(world.recorder(run), "a", "b", "c")
        await stored_words(world, run, "abc")


async def test_a_full_batch_does_not_wait_for_the_flush_time(world: World) -> None:
    async with writing(world, batch=3, flush_seconds=NEVER):
        run = await world.run()
        recorder = world.recorder(run)
        say(recorder, "a", "b", "c")
        await stored_words(world, run, "abc")
        world.database.units = 0
        say(recorder, "d", "e")
        await asyncio.sleep(0)
        assert world.database.units == 0
        say(recorder, "f")
        await stored_words(world, run, "abcdef")


async def test_runs_of_a_tenant_share_a_transaction(world: World) -> None:
    runs = [await world.run() for _ in range(5)]
    world.database.units = 0
    async with writing(world, batch=2, flush_seconds=NEVER):
        for run in runs:
            say(world.recorder(run), "a", "b")
        for run in runs:
            await stored_words(world, run, "ab")
        assert world.database.units == 1


async def test_many_runs_are_stored_by_few_statements(world: World) -> None:
    runs = [await world.run() for _ in range(19)]
    for run in runs:
        say(world.recorder(run), "a", "b")
    with listening_together() as numbers:
        await world.flush()
    assert numbers == [8, 8, 3]
    for run in runs:
        await stored_words(world, run, "ab")


async def test_who_has_lost_its_run_among_many_hears_of_it(world: World) -> None:
    runs = [await world.run() for _ in range(3)]
    recorders = [world.recorder(run) for run in runs]
    lost: list[Recorder] = []
    for recorder in recorders:
        recorder.on_lost = lambda recorder=recorder: lost.append(recorder)  # type: ignore[misc]
        say(recorder, "a")
    await world.expire(runs[1])
    async with world.database.unit(world.tenant.id) as unit:
        assert await unit.runs.claim(runs[1].id, 1, owner="other", lease_seconds=60)
    await world.flush()
    assert lost == [recorders[1]]
    assert [words(await world.stored(run)) for run in runs] == ["a", "", "a"]


@contextmanager
def listening_together() -> Iterator[list[int]]:
    """How many changes were carried out together each time."""
    numbers: list[int] = []
    spelled = Executor._spelled

    def note(self: Executor, script: Script[Any]) -> Course[Any]:
        course, found = spelled(self, script), None
        try:
            while True:
                numbers.append(len(parts := course.send(found)))  # type: ignore[arg-type]
                found = yield parts
        except StopIteration as end:
            return end.value

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Executor, "_spelled", note)
        yield numbers


@pytest.mark.parametrize("weather", ["away", "refused", "crash", "lost"])
async def test_what_could_not_be_stored_is_tried_again_in_order(world: World, weather: Weather) -> None:
    run = await world.run()
    world.database.forecast.extend([weather, weather])
    async with writing(world):
        recorder = world.recorder(run)
        say(recorder, "a", "b")
        await until(lambda: not world.database.forecast)
        say(recorder, "c")
        await stored_words(world, run, "abc")
        assert [event.position.seq for event in await world.stored(run)] == [1, 2, 3]


async def test_new_events_queue_behind_those_being_written(world: World) -> None:
    run = await world.run()
    world.database.hold = gate = Gate()
    world.database.forecast.append("away")
    async with writing(world):
        recorder = world.recorder(run)
        say(recorder, "a")
        await gate.wait_until_reached()
        say(recorder, "b")
        assert recorder.writing.locked()
        gate.opened.set()
        await stored_words(world, run, "ab")


async def test_a_failing_tenant_does_not_stop_the_others(world: World) -> None:
    """The tenants of one round are written one after the other, whatever became of the first."""
    other = await another_tenant(world)
    first, second = await world.run(), await other.run()
    world.database.forecast.append("crash")
    world.database.hold = gate = Gate()
    async with writing(world):
        other.writer = world.writer
        say(world.recorder(first), "a")
        say(other.recorder(second), "b")
        await gate.wait_until_reached()
        gate.opened.set()
        await stored_words(other, second, "b")
        await stored_words(world, first, "a")


async def another_tenant(world: World) -> World:
    tenant = a_tenant(slug="neighbour")
    employee = an_employee(tenant)
    async with world.database.operator() as operator:
        await operator.tenants.add(tenant)
    async with world.database.unit(tenant.id) as unit:
        await unit.employees.add(employee)
        await unit.conversations.add(a_conversation(employee))
    return World(world.database, tenant, employee)


async def test_a_cancelled_write_puts_its_events_back(world: World) -> None:
    run = await world.run()
    world.database.hold = gate = Gate()
    task = asyncio.create_task(world.writer.run())
    recorder = world.recorder(run)
    say(recorder, *"a" * 64)
    await gate.wait_until_reached()
    assert recorder.take_unstored() == []
    task.cancel()
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(task, return_exceptions=True)
    assert words(recorder.take_unstored()) == "a" * 64
    assert not recorder.writing.locked()


async def test_a_forgotten_recorder_keeps_its_events(world: World) -> None:
    """A run that ends stores the rest itself."""
    ending, going_on = await world.run(), await world.run()
    async with writing(world, batch=2, flush_seconds=NEVER) as writer:
        recorder = world.recorder(ending)
        say(recorder, "a")
        writer.forget(recorder)
        say(world.recorder(going_on), "x", "y")
        await stored_words(world, going_on, "xy")
        assert words(recorder.take_unstored()) == "a"
        assert await world.stored(ending) == []


async def test_a_run_taken_over_meanwhile_takes_no_more_events_and_hears_of_it(world: World) -> None:
    run = await world.run()
    lost: list[bool] = []
    async with writing(world):
        stale = world.recorder(run, attempt=7)
        stale.on_lost = lambda: lost.append(True)
        say(stale, "a")
        await until(lambda: bool(lost))
        other = await world.run()
        say(world.recorder(other), "x")
        await stored_words(world, other, "x")
        async with world.database.unit(run.tenant_id, read_only=True) as unit:
            assert await unit.run_events.last_position(run.id) == START


async def test_a_run_that_cannot_be_stored_does_not_hold_up_its_neighbours(world: World) -> None:
    good, bad = await world.run(), await world.run()
    async with writing(world, flush_seconds=NEVER, batch=2):
        broken = world.recorder(bad)
        broken.record(e.TextDelta(delta="x"))
        broken._seq += 1  # a hole, which no database takes
        broken.record(e.TextDelta(delta="y"))
        say(world.recorder(good), "a", "b")
        await stored_words(world, good, "ab")
    assert await world.stored(bad) == []


async def test_a_run_that_is_behind_waits_for_the_database(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "HIGH_WATER", 4)
    async with writing(world, flush_seconds=NEVER, batch=2):
        recorder = world.recorder(run := await world.run())
        async with recorder.writing:
            say(recorder, "a", "b", "c")
            was_behind = recorder.is_behind
            say(recorder, "d")
            assert (was_behind, recorder.is_behind) == (False, True)
            waiting = asyncio.create_task(recorder.catch_up())
            for _ in range(10):
                await asyncio.sleep(0)
            assert not waiting.done()
        async with asyncio.timeout(DEADLINE):
            await waiting
            await stored_words(world, run, "abcd")


async def test_a_database_that_takes_nothing_fails_the_run_that_is_behind(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HIGH_WATER", 1)
    monkeypatch.setattr(module, "ROOM_SECONDS", 0.01)
    recorder = world.recorder(await world.run())
    say(recorder, "a")
    with pytest.raises(StorageFailed):
        await recorder.catch_up()


async def test_a_burst_of_any_length_completes(world: World) -> None:
    """More events than may wait at all, all at once, on a database that works."""
    async with writing(world):
        runner = await world.runner(StubProvider(says(*("x" for _ in range(MAX_UNSTORED + 1000)))))
        async with asyncio.timeout(DEADLINE * 3):
            await runner.execute()
    run = await world.run_now(runner.run)
    assert (run.status, run.error_code) == (RunStatus.COMPLETED, None)
    assert len((await world.answer_now(runner.run)).content) == MAX_UNSTORED + 1000
