"""Run events to frames.

A run that fails ends with two frames, `message_error` and `message_end`. Both come from one event, so only the last one
carries its id: a client that is cut off between them resumes before both. A stream that cannot tell the run's end sends
`message_error` alone and breaks off.
"""

from uuid import UUID

import msgspec

from retinue.domain import events as e
from retinue.domain.errors import RetinueError, StreamBroken
from retinue.domain.events import RecordedEvent, RunEnd
from retinue.protocols.base import Encode, Protocol
from retinue.protocols.frames import frame, name_of
from retinue.protocols.messages import frames as f
from retinue.protocols.messages.encoder import Encoder

_encode = msgspec.json.Encoder().encode

_SHOWN: dict[type[msgspec.Struct], type[f.Frame]] = {
    e.RunStarted: f.MessageStart,
    e.AttemptStarted: f.AttemptStarted,
    e.StatusChanged: f.RuntimeStatus,
    e.ToolCallRequested: f.ToolCallStarted,
    e.ToolCallFinished: f.ToolCallFinished,
    e.MessageAppended: f.MessageAppended,
    e.SnapshotTaken: f.Snapshot,
    e.ApprovalRequested: f.ToolApprovalRequested,
    e.ApprovalDecided: f.ToolApprovalDecided,
    e.ApprovalExpired: f.ToolApprovalExpired,
    e.PasswordRequested: f.ToolPasswordRequested,
}
"""Events that have the same fields as their frames; the others are translated by hand or are not shown."""


_STATUSES: dict[type[RunEnd], str] = {
    e.RunCompleted: "completed",
    e.RunFailed: "failed",
    e.RunCancelled: "cancelled",
    e.RunExpired: "expired",
}


class MessagesProtocol(Protocol):
    name = "messages"
    frames = (
        f.MessageStart,
        f.AttemptStarted,
        f.RuntimeStatus,
        f.ReasoningDelta,
        f.Token,
        f.ToolCallStarted,
        f.ToolCallFinished,
        f.ToolApprovalRequested,
        f.ToolApprovalDecided,
        f.ToolApprovalExpired,
        f.ToolPasswordRequested,
        f.MessageAppended,
        f.Snapshot,
        f.MessageError,
        f.MessageEnd,
    )

    def encoder(self) -> Encode:
        return Encoder(_encode_other)

    def failure(self, run_id: UUID, error: StreamBroken) -> bytes:
        return _error(run_id, error, error.problem_code)


def _encode_other(recorded: RecordedEvent) -> bytes:
    """The frames of one event that is no piece of text; empty for events that this protocol does not show."""
    match recorded.event:
        case e.ReasoningDelta(delta=delta):
            return _frame(recorded, f.ReasoningDelta(run_id=recorded.run_id, delta=delta))
        case RunEnd() as end:
            before = _error(recorded.run_id, end, end.code) if isinstance(end, e.RunFailed) else b""
            return before + _frame(recorded, _end(recorded.run_id, end))
        case event:
            shown = _translate(recorded.run_id, event)
            return _frame(recorded, shown) if shown else b""


def _translate(run_id: UUID, event: e.RunEvent) -> f.Frame | None:
    kind = _SHOWN.get(type(event))
    return None if kind is None else kind(run_id=run_id, **msgspec.structs.asdict(event))


def _error(run_id: UUID, failed: e.RunFailed | RetinueError, code: str) -> bytes:
    error = f.MessageError(
        run_id=run_id,
        code=code,
        title=failed.title,
        status=failed.status,
        detail=failed.detail,
        retryable=failed.retryable,
    )
    return frame(event=name_of(error), data=_encode(error))


def _end(run_id: UUID, end: RunEnd) -> f.MessageEnd:
    paused = end if isinstance(end, e.RunPaused) else None
    return f.MessageEnd(
        run_id=run_id,
        conversation_id=end.conversation_id,
        message_id=end.message_id,
        status=_STATUSES[type(end)] if paused is None else f.WAITING[paused.waiting_for],
        finish_reason=end.finish_reason,
        token_count=end.usage.output_tokens if end.usage else None,
        usage=end.usage,
        cost=end.cost,
        generation_stats=end.generation_stats,
        tool_log=end.tool_log,
        event_count=end.event_count,
        text_sha256=end.text_sha256,
        metadata=end.metadata,
        approval_ids=() if paused is None else paused.approval_ids,
        tool_call_ids=() if paused is None else paused.tool_call_ids,
    )


def _frame(recorded: RecordedEvent, shown: f.Frame) -> bytes:
    return frame(event=name_of(shown), data=_encode(shown), event_id=recorded.id)
