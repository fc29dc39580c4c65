"""How a run ends, and the one transaction that makes it true."""

from datetime import datetime
from typing import Any

import msgspec

from retinue.db.session import Unit
from retinue.domain import events as e
from retinue.domain.errors import RetinueError
from retinue.domain.ids import now
from retinue.domain.messages import MessageStatus
from retinue.domain.model_io import FinishReason
from retinue.domain.runs import CancelReceipt, Run, RunStatus
from retinue.domain.usage import GenerationStats
from retinue.runs.draft import Draft, text_digest


class Completed(msgspec.Struct, frozen=True):
    reason: FinishReason


class Failed(msgspec.Struct, frozen=True):
    error: RetinueError


class Cancelled(msgspec.Struct, frozen=True):
    requested_at: datetime


class Withdrawn(msgspec.Struct, frozen=True):
    """Cancelled before it started."""

    requested_at: datetime


Ending = Completed | Failed | Cancelled | Withdrawn


class Lost(msgspec.Struct, frozen=True):
    """The run belongs to another process by now, or was deleted: nothing is left to be said here."""


class HandedOver(msgspec.Struct, frozen=True):
    """This process stops; the run goes on in another one, or after the next start."""


Departure = Lost | HandedOver
"""How a process can part with a run that has not ended."""


class EndState(msgspec.Struct, frozen=True, kw_only=True):
    """An ending in the words of rows and events."""

    run_status: RunStatus
    message_status: MessageStatus
    finish_reason: str
    error_code: str | None = None


def end_state(ending: Ending) -> EndState:
    """What an ending makes of the run and its answer."""
    match ending:
        case Completed(reason=reason):
            return EndState(
                run_status=RunStatus.COMPLETED, message_status=MessageStatus.COMPLETED, finish_reason=reason.value
            )
        case Failed(error=error):
            return EndState(
                run_status=RunStatus.FAILED,
                message_status=MessageStatus.FAILED,
                finish_reason="error",
                error_code=error.problem_code,
            )
        case Withdrawn():
            return EndState(
                run_status=RunStatus.CANCELLED, message_status=MessageStatus.CANCELLED, finish_reason="withdrawn"
            )
        case Cancelled():
            return EndState(
                run_status=RunStatus.CANCELLED, message_status=MessageStatus.CANCELLED, finish_reason="cancelled"
            )


def terminal_event(
    ending: Ending, run: Run, draft: Draft, *, stats: GenerationStats, event_count: int, metadata: dict[str, Any]
) -> e.TerminalEvent:
    """The run's last event. `event_count` includes it."""
    common = e.RunEnd(
        conversation_id=run.conversation_id,
        message_id=run.message_id,
        finish_reason=end_state(ending).finish_reason,
        usage=draft.usage,
        cost=draft.total_cost,
        generation_stats=stats,
        tool_log=tuple(draft.tool_log),
        event_count=event_count,
        text_sha256=text_digest(draft.text),
        metadata=metadata,
    )
    fields = msgspec.structs.asdict(common)
    match ending:
        case Completed():
            return e.RunCompleted(**fields)
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
) -> bool:
    """Write run, answer and tool log, if the run is still ours to end; false and nothing written if not.

    The caller adds the events and the ledger's closings in the same transaction.

    Args:
        appended: nothing is written if more messages than these were appended to the run.
    """
    at: datetime = now()
    is_ours = await unit.runs.finish(
        run.id,
        run.attempt,
        status=state.run_status,
        finish_reason=state.finish_reason,
        error_code=state.error_code,
        usage=end.usage,
        cost=end.cost,
        generation_stats=end.generation_stats,
        event_count=end.event_count,
        text_sha256=end.text_sha256,
        at=at,
        receipt=receipt,
        appended=appended,
    )
    if not is_ours:
        return False
    if appended is None:
        await _keep_untaken(unit, run)
    await unit.messages.finish(
        run.message_id,
        content=draft.text,
        reasoning=draft.reasoning,
        status=state.message_status,
        finish_reason=state.finish_reason,
        error_code=state.error_code,
        tool_log=end.tool_log,
        usage=end.usage,
        cost=end.cost,
        metadata=end.metadata,
        at=at,
    )
    if end.tool_log:
        await unit.tool_calls.add_all(run, end.tool_log, at=at)
    return True


async def _keep_untaken(unit: Unit, run: Run) -> None:
    """Messages that the run did not get to stay in the conversation, unanswered."""
    for message in await unit.messages.appended(run.id):
        await unit.messages.change_status(message.id, to=MessageStatus.COMPLETED, from_=MessageStatus.PENDING)
