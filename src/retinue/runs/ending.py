"""The one transaction that makes an ending true."""

from datetime import datetime
from typing import Any

import msgspec

from retinue.db.changes import Change
from retinue.db.repositories.messages import AnswerEnd
from retinue.db.repositories.runs import RunEnd
from retinue.db.scripts import Script
from retinue.db.session import Unit
from retinue.domain import events as e
from retinue.domain.ids import now
from retinue.domain.messages import MessageStatus
from retinue.domain.runs import ACTIVE_STATUSES, CancelReceipt, Run, RunStatus
from retinue.domain.usage import GenerationStats
from retinue.observability.metrics import METRICS
from retinue.runs.calls.closing import close_calls
from retinue.runs.calls.journal import Journal
from retinue.runs.draft import Draft, text_digest
from retinue.runs.endings import (
    Cancelled,
    Completed,
    Curtailed,
    Ending,
    EndState,
    Expired,
    Failed,
    Withdrawn,
    end_state,
)


def terminal_event(
    ending: Ending, run: Run, draft: Draft, *, stats: GenerationStats, event_count: int, metadata: dict[str, Any]
) -> e.TerminalEvent:
    """The run's last event. `event_count` includes it."""
    reason = end_state(ending).finish_reason
    common = run_end(run, draft, finish_reason=reason, stats=stats, event_count=event_count, metadata=metadata)
    fields = msgspec.structs.asdict(common)
    match ending:
        case Completed() | Curtailed():
            return e.RunCompleted(**fields)
        case Expired():
            return e.RunExpired(**fields)
        case Cancelled() | Withdrawn():
            return e.RunCancelled(**fields)
        case Failed(error=error):
            return e.RunFailed(
                **fields,
                code=error.problem_code,
                title=error.title,
                status=error.status,
                detail=error.detail,
                retryable=error.retryable,
            )


def run_end(
    run: Run, draft: Draft, *, finish_reason: str, stats: GenerationStats, event_count: int, metadata: dict[str, Any]
) -> e.RunEnd:
    """What a client needs to prove that it got everything so far."""
    return e.RunEnd(
        conversation_id=run.conversation_id,
        message_id=run.message_id,
        finish_reason=finish_reason,
        usage=draft.usage,
        cost=draft.total_cost,
        generation_stats=stats,
        tool_log=tuple(draft.tool_log),
        event_count=event_count,
        text_sha256=text_digest(draft.text),
        metadata=metadata,
    )


def receipt_of(ending: Ending, draft: Draft, socket_closed_at: datetime | None) -> CancelReceipt | None:
    """What a cancelled run has cost; None for every other ending."""
    if not isinstance(ending, Cancelled | Withdrawn):
        return None
    return CancelReceipt(
        requested_at=ending.requested_at,
        socket_closed_at=socket_closed_at,
        tokens_received=draft.usage.output_tokens if draft.usage else None,
        charged=draft.total_cost,
        provenance=draft.usage.provenance if draft.usage else None,
    )


async def store_end(
    unit: Unit,
    run: Run,
    state: EndState,
    draft: Draft,
    end: e.TerminalEvent,
    *,
    receipt: CancelReceipt | None = None,
    appended: int | None = None,
    journal: Journal | None = None,
    from_statuses: tuple[RunStatus, ...] = ACTIVE_STATUSES,
) -> bool:
    """Write run and answer, and close what is open of its calls and questions, if the run is still ours to end; false
    and nothing written if not.

    The caller adds the events and the ledger's closings in the same transaction.

    Args:
        appended: nothing is written if more messages than these were appended to the run.
        journal: of the process that ran the run, with what it has not written yet.
        from_statuses: nothing is written if the run is in none of them.
    """
    # With calls it may have: a pause may be stored although its answer got lost. Before the run, as everywhere: who
    # decides an approval locks them in the same order.
    has_asked = not is_plain(run, end) and await unit.approvals.lock(run.id)
    at: datetime = now()
    values = _run_values(state, end, at, receipt=receipt, appended=appended, from_statuses=from_statuses)
    if not await unit.runs.finish(run.id, run.attempt, **values):
        return False
    if appended is None:
        await _keep_untaken(unit, run)
    await unit.messages.finish(run.message_id, **_answer_values(state, draft, end, at))
    if journal is not None:
        await journal.flush(unit)
    if end.tool_log:
        await close_calls(unit, run, state)
    if has_asked:
        await unit.approvals.supersede(run.id)
    unit.after_commit.append(lambda: METRICS.run_ended(state.run_status.value))
    return True


def is_plain(run: Run, end: e.TerminalEvent) -> bool:
    """Whether nothing but run and answer has to be ended: no tool was asked for, and no person."""
    return not (run.pauses or end.tool_log or run.status is RunStatus.WAITING)


def storing_plain_end(
    unit: Unit,
    run: Run,
    state: EndState,
    draft: Draft,
    end: e.TerminalEvent,
    *changes: Change[bool],
    appended: int,
) -> Script[bool]:
    """The same as `store_end` where the end is plain, together with other changes, and all of it at once. If it is
    false, the run was not ours to end, or one of the changes tells no; then the caller must roll back.
    """
    at = now()
    is_ours, _, *others = yield (
        unit.runs.finishing(run.id, run.attempt, **_run_values(state, end, at, appended=appended)),
        unit.messages.finishing(run.message_id, **_answer_values(state, draft, end, at)),
        *changes,
    )
    unit.after_commit.append(lambda: METRICS.run_ended(state.run_status.value))
    return bool(is_ours) and all(others)


def _run_values(
    state: EndState,
    end: e.TerminalEvent,
    at: datetime,
    *,
    appended: int | None,
    receipt: CancelReceipt | None = None,
    from_statuses: tuple[RunStatus, ...] = ACTIVE_STATUSES,
) -> RunEnd:
    return {
        "status": state.run_status,
        "finish_reason": state.finish_reason,
        "error_code": state.error_code,
        "usage": end.usage,
        "cost": end.cost,
        "generation_stats": end.generation_stats,
        "event_count": end.event_count,
        "text_sha256": end.text_sha256,
        "at": at,
        "receipt": receipt,
        "appended": appended,
        "from_statuses": from_statuses,
    }


def _answer_values(state: EndState, draft: Draft, end: e.TerminalEvent, at: datetime) -> AnswerEnd:
    return {
        "content": draft.text,
        "reasoning": draft.reasoning,
        "status": state.message_status,
        "finish_reason": state.finish_reason,
        "error_code": state.error_code,
        "tool_log": end.tool_log,
        "usage": end.usage,
        "cost": end.cost,
        "metadata": end.metadata,
        "at": at,
    }


async def _keep_untaken(unit: Unit, run: Run) -> None:
    """Messages that the run did not get to stay in the conversation, unanswered."""
    for message in await unit.messages.appended(run.id):
        await unit.messages.change_status(message.id, to=MessageStatus.COMPLETED, from_=MessageStatus.PENDING)
