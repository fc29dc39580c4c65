"""Runs whose process is gone are ended, with what they had written."""

import asyncio

import pytest

from retinue.domain import events as e
from retinue.domain.errors import StreamBroken
from retinue.domain.ids import Position
from retinue.domain.messages import MessageStatus, ToolLogEntry
from retinue.domain.model_io import TextPiece
from retinue.domain.runs import CallOutcome, Run, RunStatus
from retinue.domain.usage import Usage
from retinue.runs.draft import text_digest
from retinue.runs.lease import Lease
from retinue.runs.recovery import close_orphaned_calls, end_lost_runs
from retinue.runs.runner import Runner
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, StubProvider, says

LEASE = Lease(owner="rescuer", seconds=60)
IMPATIENT = Lease(owner="rescuer", seconds=-60)
SAID: tuple[e.RunEvent, ...] = (
    e.ReasoningDelta(delta="Hm"),
    e.TextDelta(delta="Hel"),
    e.ToolCallFinished(tool_call_id="a", tool="search", args={"q": 1}, error="no", duration_ms=3),
    e.UsageRecorded(step=1, provider="stub", model="stub-1", usage=Usage(output_tokens=2)),
    e.TextDelta(delta="lo"),
)


async def lost_run(world: World) -> tuple[Run, Runner]:
    """A run whose process wrote some events in two batches and then nothing, not even its lease."""
    run = await world.run(lease_seconds=-1)
    runner = await world.runner(StubProvider(), run=run)
    recorder = world.recorder(run)
    for batch in (SAID[:2], SAID[2:]):
        for event in batch:
            recorder.record(event)
        async with world.database.unit(run.tenant_id) as unit:
            await unit.run_events.add(run.id, 1, recorder.take_unstored())
    world.log.close(run.id)
    return run, runner


async def test_a_lost_run_fails_and_keeps_what_it_had_written(world: World) -> None:
    run, _ = await lost_run(world)
    assert await end_lost_runs(world.database, LEASE) == 1
    events = await world.follow(run)
    boundary = e.AttemptStarted(attempt=2, discard_after=f"{run.id}:1-5")
    assert [event.event for event in events[:-1]] == [*SAID, boundary]
    end = events[-1].event
    assert isinstance(end, e.RunFailed)
    assert events[-1].position == (2, 2)
    assert (end.code, end.retryable, end.event_count) == ("process_lost", True, 7)
    assert (end.text_sha256, end.usage) == (text_digest("Hello"), Usage(output_tokens=2))
    entry = ToolLogEntry(tool_call_id="a", name="search", args={"q": 1}, result=None, error="no", duration_ms=3)
    assert end.tool_log == (entry,)
    answer = await world.answer_now(run)
    assert (answer.content, answer.reasoning, answer.status) == ("Hello", "Hm", MessageStatus.FAILED)
    assert (answer.error_code, answer.tool_log) == ("process_lost", (entry,))
    stored = await world.run_now(run)
    assert (stored.status, stored.attempt) == (RunStatus.FAILED, 2)
    assert [entry.outcome for entry in await world.ledger_now(run)] == [CallOutcome.ABORTED]


async def test_a_lost_run_is_ended_once(world: World) -> None:
    await lost_run(world)
    rescues = (end_lost_runs(world.database, LEASE) for _ in range(3))
    async with asyncio.timeout(DEADLINE):
        assert sorted(await asyncio.gather(*rescues)) == [0, 0, 1]
    assert await end_lost_runs(world.database, LEASE) == 0


async def test_a_run_whose_lease_holds_is_left_alone(world: World) -> None:
    run = await world.run()
    assert await end_lost_runs(world.database, LEASE) == 0
    assert (await world.run_now(run)).status is RunStatus.RUNNING


async def test_no_more_than_the_limit_at_once(world: World) -> None:
    for _ in range(3):
        await lost_run(world)
    assert await end_lost_runs(world.database, LEASE, limit=2) == 2
    assert await end_lost_runs(world.database, LEASE, limit=2) == 1


async def test_a_process_that_was_only_slow_changes_nothing_any_more(world: World) -> None:
    run = await world.run(lease_seconds=-1)
    gate = Gate()
    runner = await world.runner(StubProvider([TextPiece("Hel"), gate, *says("lo")]), run=run)
    runner.begin()
    task = asyncio.create_task(runner.execute())
    await gate.wait_until_reached()
    assert await end_lost_runs(world.database, LEASE) == 1
    stream = world.follower.follow(run.tenant_id, run.id, Position(1, 99))
    async with asyncio.timeout(DEADLINE):
        reader = asyncio.create_task(anext(stream))
        await asyncio.sleep(0)
        gate.opened.set()
        await task
        with pytest.raises(StreamBroken):
            await reader
    assert (await world.run_now(run)).error_code == "process_lost"
    assert [event.position for event in await world.stored(run)] == [(2, 1), (2, 2)]
    assert [event.position for event in await world.follow(run)] == [(2, 1), (2, 2)]


async def test_a_reader_that_saw_more_than_was_stored_is_told_what_to_discard(world: World) -> None:
    run, _ = await lost_run(world)
    await end_lost_runs(world.database, LEASE)
    boundary, end = await world.follow(run, Position(1, 9))
    assert boundary.event == e.AttemptStarted(attempt=2, discard_after=f"{run.id}:1-5")
    assert isinstance(end.event, e.RunFailed)


async def test_a_run_that_had_stored_nothing(world: World) -> None:
    run = await world.run(lease_seconds=-1)
    world.log.close(run.id)
    assert await end_lost_runs(world.database, LEASE) == 1
    boundary, _ = await world.follow(run)
    assert boundary.event == e.AttemptStarted(attempt=2, discard_after=None)


async def test_a_run_whose_events_cannot_be_read_ends_and_holds_up_nobody(world: World) -> None:
    bad, _ = await lost_run(world)
    good, _ = await lost_run(world)
    async with world.database._engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE run_events SET payload = x'00' WHERE run_id = ?", (bad.id.hex,))
    assert await end_lost_runs(world.database, LEASE) == 2
    for run in (bad, good):
        assert (await world.run_now(run)).error_code == "process_lost"


async def test_calls_that_nobody_will_close_are_closed(world: World) -> None:
    run, _ = await lost_run(world)
    alive = await world.run()
    runner = await world.runner(StubProvider(), run=alive)
    assert await close_orphaned_calls(world.database, IMPATIENT) == 0
    async with world.database.unit(run.tenant_id) as unit:
        await unit.conversations.delete(run.conversation_id)
    assert await close_orphaned_calls(world.database, LEASE) == 0  # a process that lives would close its own
    assert await close_orphaned_calls(world.database, IMPATIENT) == 1
    assert [entry.outcome for entry in await world.ledger_now(run)] == [CallOutcome.ABORTED]
    assert [entry.outcome for entry in await world.ledger_now(runner.run)] == [CallOutcome.OPEN]
