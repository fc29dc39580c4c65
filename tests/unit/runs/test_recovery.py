"""Lost runs that cannot go on are ended, with everything that had reached the log."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest

from retinue.domain import events as e
from retinue.domain.errors import RetinueError, Unavailable
from retinue.domain.events import RunEnd
from retinue.domain.limits import Limits
from retinue.domain.messages import MessageStatus, ToolLogEntry
from retinue.domain.runs import CallOutcome, Run, RunStatus
from retinue.domain.usage import Provenance, Usage
from retinue.runs.draft import text_digest
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, StubProvider, says
from tests.unit.runs.logs import places, whole
from tests.unit.runs.process import LIMITS, Process

SAID: tuple[e.RunEvent, ...] = (
    e.StepStarted(step=1),
    e.ReasoningDelta(delta="Hm"),
    e.TextDelta(delta="Hel"),
    e.ToolCallFinished(tool_call_id="a", tool="search", args={"q": 1}, error="no", duration_ms=3),
    e.TextDelta(delta="lo"),
)
CALL = ToolLogEntry(tool_call_id="a", name="search", args={"q": 1}, result=None, error="no", duration_ms=3)
HOPELESS = msgspec.structs.replace(LIMITS, max_attempts=1)


async def lost_run(world: World) -> Run:
    """A run whose process wrote some events in two batches and then nothing, not even its lease."""
    run = await world.run(lease_seconds=-1)
    await world.runner(StubProvider(), run=run)
    recorder = world.recorder(run)
    for batch in (SAID[:2], SAID[2:]):
        for event in batch:
            recorder.record(event)
        async with world.database.unit(run.tenant_id) as unit:
            await unit.run_events.add(run.id, 1, recorder.take_unstored())
    world.log.close(run.id)
    return run


async def ended(office: Process, run: Run, code: str) -> RunEnd:
    """The run has failed for this reason, and nobody was asked for anything."""
    events = await office.follow(run)
    end = whole(events)
    assert isinstance(end, e.RunFailed)
    answer, stored = await office.world.answer_now(run), await office.world.run_now(run)
    assert (end.code, answer.error_code, stored.error_code) == (code, code, code)
    assert (stored.status, answer.status) == (RunStatus.FAILED, MessageStatus.FAILED)
    assert all(entry.outcome is not CallOutcome.OPEN for entry in await office.world.ledger_now(run))
    assert office.provider.requests == []
    assert office.supervisor.active_count == 0
    return end


async def test_after_too_many_attempts_the_run_fails_with_what_there_was(world: World) -> None:
    office = Process(world, limits=HOPELESS)
    await office.configure()
    run = await lost_run(world)
    await office.look()
    end = await ended(office, run, "process_lost")
    events = await office.follow(run)
    boundary = e.AttemptStarted(attempt=2, discard_after=f"{run.id}:1-5")
    assert [event.event for event in events[:-1]] == [*SAID, boundary]
    assert places(events)[-2:] == ["2-1", "2-2"]
    assert (end.text_sha256, end.tool_log, end.event_count) == (text_digest("Hello"), (CALL,), 7)
    answer = await world.answer_now(run)
    assert (answer.content, answer.reasoning, answer.tool_log) == ("Hello", "Hm", (CALL,))
    expected = Usage(output_tokens=3, reasoning_tokens=1, provenance=Provenance.ESTIMATED)
    assert (end.usage, (await world.ledger_now(run))[0].usage) == (expected, expected)
    assert (await world.run_now(run)).attempt == 2


@pytest.mark.parametrize(("allowed", "is_resumed"), [(1, False), (2, True)])
async def test_as_many_attempts_as_allowed(world: World, allowed: int, is_resumed: bool) -> None:
    office = Process(world, says("Yes"), limits=msgspec.structs.replace(LIMITS, max_attempts=allowed))
    await office.configure()
    await lost_run(world)
    await office.look()
    await office.idle()
    assert len(office.provider.requests) == is_resumed


async def test_a_run_that_somebody_asked_to_cancel_is_cancelled(world: World) -> None:
    office = Process(world)
    await office.configure()
    run = await lost_run(world)
    async with world.database.unit(run.tenant_id) as unit:
        asked = await unit.runs.request_cancel(run.id)
    await office.look()
    end = whole(await office.follow(run))
    assert isinstance(end, e.RunCancelled)
    stored, answer = await world.run_now(run), await world.answer_now(run)
    assert (stored.status, answer.status, answer.content) == (RunStatus.CANCELLED, MessageStatus.CANCELLED, "Hello")
    assert asked is not None
    assert stored.receipt is not None
    assert (stored.receipt.requested_at, stored.receipt.socket_closed_at) == (asked.cancel_requested_at, None)
    assert (stored.receipt.tokens_received, stored.receipt.provenance) == (3, Provenance.ESTIMATED)
    assert office.provider.requests == []


async def test_a_provider_that_was_taken_away(world: World) -> None:
    office = Process(world)
    run = await lost_run(world)
    await office.look()
    await ended(office, run, "provider_not_configured")


async def test_an_employee_that_left(world: World) -> None:
    office = Process(world)
    await office.configure()
    async with world.database.unit(world.tenant.id) as unit:
        await unit.employees.delete(world.employee.id)
    run = await lost_run(world)
    await office.look()
    await ended(office, run, "employee_deleted")


@pytest.mark.parametrize("fault", [ZeroDivisionError("10.0.0.7"), RuntimeError()])
async def test_a_fault_of_ours_ends_the_run_and_holds_up_nobody(
    world: World, fault: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Process(world)
    await office.configure()
    runs = [await lost_run(world) for _ in range(3)]

    def fails(_: object) -> None:
        raise fault

    monkeypatch.setattr(office.factory, "open", fails)
    await office.look()
    for run in runs:
        end = await ended(office, run, "internal_error")
        assert "10.0.0.7" not in str(end)


async def test_a_run_that_cannot_even_be_given_up_holds_up_nobody(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    office = Process(world, says("Yes"))
    await office.configure()
    bad, good = await lost_run(world), await lost_run(world)
    claim = office.recovery._claim

    async def fails(unit: Any, run_id: UUID, limits: Limits | None) -> Run | None:
        if run_id == bad.id:
            raise ZeroDivisionError
        return await claim(unit, run_id, limits)

    monkeypatch.setattr(office.recovery, "_claim", fails)
    await office.look()
    whole(await office.follow(good))
    assert (await world.run_now(bad)).attempt == 1


async def test_a_log_that_cannot_be_read_ends_the_run_and_holds_up_nobody(world: World) -> None:
    office = Process(world, says("Yes"))
    await office.configure()
    bad, good = await lost_run(world), await lost_run(world)
    async with world.database._engine.begin() as connection:
        statement = "UPDATE run_events SET payload = x'00' WHERE run_id = ? AND first_seq > 1"
        await connection.exec_driver_sql(statement, (bad.id.hex,))
    await office.look()
    whole(await office.follow(good))
    assert ((await world.run_now(bad)).status, (await world.run_now(bad)).error_code) == ("failed", "process_lost")
    with pytest.raises(RetinueError) as caught:
        await office.follow(bad)
    assert caught.value.problem_code == "stream_broken"


async def test_a_bound_that_was_lowered_meanwhile_is_no_reason_to_stay_for_ever(world: World) -> None:
    office = Process(world, limits=msgspec.structs.replace(LIMITS, max_answer_chars=3, max_attempts=1))
    await office.configure()
    run = await lost_run(world)
    await office.look()
    await ended(office, run, "process_lost")
    assert (await world.answer_now(run)).content == "Hello"


async def test_a_run_of_which_nothing_was_stored_ends_too(world: World) -> None:
    office = Process(world, limits=HOPELESS)
    await office.configure()
    run = await world.run(lease_seconds=-1)
    await office.look()
    await ended(office, run, "process_lost")
    started, boundary, _ = await office.follow(run)
    assert isinstance(started.event, e.RunStarted)
    assert boundary.event == e.AttemptStarted(attempt=2, discard_after=None)


async def test_without_a_database_nothing_changes(world: World) -> None:
    office = Process(world, says("Yes"))
    await office.configure()
    run = await lost_run(world)
    world.database.forecast.append("away")
    with pytest.raises(Unavailable):
        await office.recovery.take_over(run.tenant_id, run.id)
    world.database.forecast.append("away")
    assert not await office.dispatcher.resume(run.tenant_id, run.id)
    assert (await world.run_now(run)).attempt == 1
    assert await office.dispatcher.resume(run.tenant_id, run.id)
    whole(await office.follow(run))


async def test_a_run_whose_lease_holds_is_left_alone(world: World) -> None:
    office = Process(world)
    await office.configure()
    run = await world.run()
    await office.look()
    assert await office.recovery.take_over(run.tenant_id, run.id) is None
    assert ((await world.run_now(run)).status, (await world.run_now(run)).attempt) == ("running", 1)


async def test_a_full_process_leaves_lost_runs_to_others(world: World) -> None:
    office = Process(world, says("Yes"), max_active=1)
    await office.configure()
    runs = [await lost_run(world) for _ in range(2)]
    with office.supervisor.admit(world.tenant.id):
        await office.look()
        assert not await office.dispatcher.resume(runs[0].tenant_id, runs[0].id)
        assert [(await world.run_now(run)).attempt for run in runs] == [1, 1]
    await office.look()
    await office.idle()
    assert sorted([(await world.run_now(run)).attempt for run in runs]) == [1, 2]


async def test_a_lost_run_is_ended_once(world: World) -> None:
    offices = [Process(world, name=name, limits=HOPELESS) for name in ("a", "b", "c")]
    await offices[0].configure()
    run = await lost_run(world)
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*(office.look() for office in offices))
    await ended(offices[0], run, "process_lost")
