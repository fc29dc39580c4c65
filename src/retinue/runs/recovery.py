"""Ends runs whose process is gone."""

from collections.abc import Sequence
from uuid import UUID

import structlog

from retinue.db.session import Database, Unit
from retinue.domain import events as e
from retinue.domain.errors import ProcessLost, RetinueError, StorageFailed
from retinue.domain.events import AttemptStarted, RecordedEvent
from retinue.domain.ids import START, Position, event_id, now
from retinue.domain.messages import ToolLogEntry
from retinue.domain.runs import CallOutcome, Run
from retinue.domain.usage import GenerationStats
from retinue.runs.draft import Draft
from retinue.runs.ending import Failed, end_state, store_end, terminal_event
from retinue.runs.lease import Lease

_log = structlog.get_logger(__name__)

PAGE_ROWS = 64


async def end_lost_runs(database: Database, lease: Lease, *, limit: int = 100) -> int:
    """End every run whose lease has expired as `process_lost`, keeping what it had written. Returns how many.

    A run is claimed first, which counts its attempt up: should its process only have been slow, whatever that process
    still writes carries the old attempt and changes nothing.
    """
    async with database.operator() as operator:
        lost = await operator.active_runs_with_expired_lease(limit)
    ended = 0
    for tenant_id, run_id in lost:
        try:
            ended += await _end_lost_run(database, lease, tenant_id, run_id)
        except RetinueError as error:
            # The others must not wait for it; it comes again with the next round.
            _log.error("lost_run_not_ended", run_id=str(run_id), code=error.problem_code)
    return ended


async def close_orphaned_calls(database: Database, lease: Lease) -> int:
    """Close ledger rows that nobody will close: their process died and their run was deleted. Returns how many."""
    async with database.operator() as operator:
        return await operator.close_orphaned_calls(lease.seconds * 2, error_code=ProcessLost.code)


async def _end_lost_run(database: Database, lease: Lease, tenant_id: UUID, run_id: UUID) -> bool:
    async with database.unit(tenant_id) as unit:
        seen = await unit.runs.find(run_id)
        if seen is None:
            return False
        run = await unit.runs.claim(run_id, seen.attempt, owner=lease.owner, lease_seconds=lease.seconds)
        return run is not None and await _store_loss(unit, run)


async def _store_loss(unit: Unit, run: Run) -> bool:
    draft, count, last = await _rebuild(unit, run)
    ending = Failed(ProcessLost())
    end = terminal_event(
        ending, run, draft, stats=GenerationStats(), event_count=count + 2, metadata=await _metadata(unit, run)
    )
    if not await store_end(unit, run, end_state(ending), draft, end):
        return False
    boundary = AttemptStarted(attempt=run.attempt, discard_after=event_id(run.id, last) if count else None)
    terminal = RecordedEvent(run.id, Position(run.attempt, 2), now(), end)
    await unit.run_events.add(
        run.id, run.attempt, [RecordedEvent(run.id, Position(run.attempt, 1), terminal.at, boundary), terminal]
    )
    await unit.ledger.close_open(run.id, outcome=CallOutcome.ABORTED, error_code=ProcessLost.code, at=terminal.at)
    return True


async def _rebuild(unit: Unit, run: Run) -> tuple[Draft, int, Position]:
    """The draft as far as its events reached the database, their number, and the last one's position."""
    draft, count, cursor = Draft(max_chars=2**63), 0, START
    try:
        while events := await unit.run_events.read(run.id, after=cursor, limit_rows=PAGE_ROWS):
            _replay(draft, events)
            count += len(events)
            cursor = events[-1].position
    except StorageFailed:
        # Unreadable from here on. What could be read counts; the run must end.
        _log.error("events_unreadable", run_id=str(run.id), after=str(cursor))
    return draft, count, cursor


def _replay(draft: Draft, events: Sequence[RecordedEvent]) -> None:
    for recorded in events:
        match recorded.event:
            case e.TextDelta(delta=delta):
                draft.add_text(delta)
            case e.ReasoningDelta(delta=delta):
                draft.add_reasoning(delta)
            case e.UsageRecorded(usage=usage, cost=cost):
                draft.add_call(usage, cost)
            case e.ToolCallFinished() as call:
                draft.tool_log.append(
                    ToolLogEntry(
                        tool_call_id=call.tool_call_id,
                        name=call.tool,
                        args=call.args,
                        result=call.result,
                        error=call.error,
                        duration_ms=call.duration_ms,
                    )
                )
            case _:
                pass


async def _metadata(unit: Unit, run: Run) -> dict[str, object]:
    calls = await unit.ledger.list(run.id)
    return {"provider": calls[-1].provider, "model": calls[-1].model} if calls else {}
