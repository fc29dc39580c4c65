"""Ends of runs that no runner runs: withdrawn from the queue, impossible to start or to resume."""

import sys
from collections.abc import Sequence
from datetime import datetime

from retinue.db.session import Unit
from retinue.domain import events as e
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import now, now_ms
from retinue.domain.messages import MessageStatus
from retinue.domain.runs import ACTIVE_STATUSES, Run, RunStatus
from retinue.domain.usage import GenerationStats
from retinue.runs.calls.closing import close_in_draft
from retinue.runs.draft import Draft
from retinue.runs.ending import receipt_of, store_end, terminal_event
from retinue.runs.endings import Cancelled, Ending, Withdrawn, end_state
from retinue.runs.lost_calls import settle_calls
from retinue.runs.replay import fill, read_log

_CHANGES = 3
"""So often a run may begin to wait, or go on, while it is being stopped: nobody decides faster."""


async def end_unrun(
    unit: Unit,
    run: Run,
    ending: Ending,
    draft: Draft,
    *,
    before: Sequence[e.RunEvent] = (),
    seq: int = 0,
    earlier: int = 0,
    from_statuses: tuple[RunStatus, ...] = ACTIVE_STATUSES,
) -> bool:
    """End a run under its present attempt; false and nothing written if it is not there to be ended.

    Args:
        before: events that come before the last one.
        seq: events of this attempt that are stored already.
        earlier: stored events of earlier attempts.
    """
    count = earlier + seq + len(before) + 1
    end = terminal_event(
        ending, run, draft, stats=GenerationStats(), event_count=count, metadata=await _metadata(unit, run)
    )
    receipt = receipt_of(ending, draft, None)
    if not await store_end(unit, run, end_state(ending), draft, end, receipt=receipt, from_statuses=from_statuses):
        return False
    at = now_ms()
    events = [
        RecordedEvent(run.id, run.attempt, number, at, event) for number, event in enumerate((*before, end), seq + 1)
    ]
    await unit.run_events.add(run.id, run.attempt, events)
    return True


async def withdraw(unit: Unit, run: Run, requested_at: datetime) -> bool:
    """Take a queued run back; false if it is not queued any more. The caller holds the conversation's lock."""
    current = await unit.runs.find(run.id)
    if current is None or current.status is not RunStatus.QUEUED:
        return False
    # Answers end from `streaming`; see `MessageRepository.finish`.
    await unit.messages.change_status(run.message_id, to=MessageStatus.STREAMING, from_=MessageStatus.PENDING)
    stored = await unit.run_events.last_position(run.id)
    draft = Draft(max_chars=0)
    if not await end_unrun(unit, run, Withdrawn(requested_at), draft, seq=stored.seq):
        return False
    await unit.messages.withdraw(run.user_message_id)
    return True


async def end_waiting(unit: Unit, run: Run, ending: Ending, *, before: Sequence[e.RunEvent] = ()) -> bool:
    """End a run that waits for a person; false and nothing written if it does not wait any more.

    Args:
        before: events that come before the calls' and the last one.
    """
    seen = await unit.runs.find(run.id)
    if seen is None or seen.status is not RunStatus.WAITING:
        return False  # and nothing is locked
    # The approvals before the run, as everywhere: who decides one locks them in the same order.
    await unit.approvals.lock(run.id)
    current = await unit.runs.find(run.id)
    if current is None or current.status is not RunStatus.WAITING:
        return False
    replay = await read_log(unit, current)
    draft = fill(Draft(max_chars=sys.maxsize), replay.events)
    await settle_calls(unit, current, draft, replay.events, at=now())
    closed = await close_left_calls(unit, current, draft, ending)
    stored = await unit.run_events.last_position(run.id)
    return await end_unrun(
        unit,
        current,
        ending,
        draft,
        before=(*before, *closed),
        seq=stored.seq,
        earlier=replay.count - stored.seq,
        from_statuses=(RunStatus.WAITING,),
    )


async def stop(unit: Unit, run: Run) -> Run | None:
    """Have a run that has started end as cancelled: here and now if it waits for a person, because then it is in no
    process. Returns the run if whoever runs it has to be told; None if it has ended.
    """
    for _ in range(_CHANGES):
        if await end_waiting(unit, run, Cancelled(now())):
            await record_cancel(unit, run)
            return None
        if asked := await unit.runs.request_cancel(run.id):
            if run.cancel_requested_at is None:
                await record_cancel(unit, run)
            return asked
        # Meanwhile it has paused, or it has ended.
    return None


async def record_cancel(unit: Unit, run: Run) -> None:
    """Somebody has cancelled the run, or taken it back."""
    await unit.audit.record("run.cancelled", object_type="run", object_id=str(run.id))


async def close_left_calls(unit: Unit, run: Run, draft: Draft, ending: Ending) -> Sequence[e.RunEvent]:
    """Put the calls that have come to nothing into the draft; `store_end` does the same in the journal."""
    told = {entry.tool_call_id for entry in draft.tool_log}
    left = [entry for entry in await unit.tool_calls.list(run.id) if entry.call_id not in told]
    return close_in_draft(draft, left, end_state(ending))


async def _metadata(unit: Unit, run: Run) -> dict[str, object]:
    calls = await unit.ledger.list(run.id)
    return {"provider": calls[-1].provider, "model": calls[-1].model} if calls else {}
