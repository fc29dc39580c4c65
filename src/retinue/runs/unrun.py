"""Ends of runs that no runner runs: withdrawn from the queue, impossible to start or to resume."""

from collections.abc import Sequence
from datetime import datetime

from retinue.db.session import Unit
from retinue.domain import events as e
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import Position, now
from retinue.domain.messages import MessageStatus
from retinue.domain.runs import Run, RunStatus
from retinue.domain.usage import GenerationStats
from retinue.runs.draft import Draft
from retinue.runs.ending import Ending, Withdrawn, end_state, receipt_of, store_end, terminal_event
from retinue.runs.recorder import milliseconds


async def end_unrun(
    unit: Unit,
    run: Run,
    ending: Ending,
    draft: Draft,
    *,
    before: Sequence[e.RunEvent] = (),
    seq: int = 0,
    earlier: int = 0,
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
    if not await store_end(unit, run, end_state(ending), draft, end, receipt=receipt):
        return False
    at = milliseconds(now())
    events = [
        RecordedEvent(run.id, Position(run.attempt, number), at, event)
        for number, event in enumerate((*before, end), seq + 1)
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


async def _metadata(unit: Unit, run: Run) -> dict[str, object]:
    calls = await unit.ledger.list(run.id)
    return {"provider": calls[-1].provider, "model": calls[-1].model} if calls else {}
