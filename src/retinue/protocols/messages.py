"""`messages`: the default protocol of a conversation's stream.

A run that fails ends with two frames, `message_error` and `message_end`. Both come from one event, so only the last one
carries its id: a client that is cut off between them resumes before both.
"""

from typing import Any
from uuid import UUID

import msgspec

from retinue.domain import events as e
from retinue.domain.events import RecordedEvent, RunEnd
from retinue.domain.messages import ToolLogEntry
from retinue.domain.usage import Cost, GenerationStats, Usage
from retinue.protocols.base import Encode, Protocol
from retinue.protocols.frames import frame, name_of

_encode = msgspec.json.Encoder().encode


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    run_id: UUID


class MessageStart(Frame, frozen=True, kw_only=True, tag="message_start"):
    """Always the first frame."""

    conversation_id: UUID
    message_id: UUID
    """The answer's id."""
    user_message_id: UUID
    employee_id: UUID
    attempt: int


class AttemptStarted(Frame, frozen=True, kw_only=True, tag="attempt_started"):
    """Another process has taken the run over; what came after `discard_after` does not count."""

    attempt: int
    discard_after: str | None


class RuntimeStatus(Frame, frozen=True, kw_only=True, tag="runtime_status"):
    stage: str


class ReasoningDelta(Frame, frozen=True, kw_only=True, tag="reasoning_delta"):
    delta: str


class Token(Frame, frozen=True, kw_only=True, tag="token"):
    """A piece of the answer's text. The contents of all tokens add up to the stored message."""

    content: str


class ToolCallStarted(Frame, frozen=True, kw_only=True, tag="tool_call_started"):
    tool_call_id: str
    tool: str
    args: Any


class ToolCallFinished(Frame, frozen=True, kw_only=True, tag="tool_call_finished"):
    tool_call_id: str
    tool: str
    args: Any
    result: Any
    error: str | None
    duration_ms: int


class MessageError(Frame, frozen=True, kw_only=True, tag="message_error"):
    """What went wrong, as a problem document. `message_end` follows."""

    code: str
    title: str
    status: int
    detail: str
    retryable: bool


class MessageEnd(Frame, frozen=True, kw_only=True, tag="message_end"):
    """Always the last frame. It follows the commit: what it says is stored."""

    conversation_id: UUID
    message_id: UUID
    status: str
    """`completed`, `failed` or `cancelled`."""
    finish_reason: str
    token_count: int | None
    """Output tokens, as in `usage`."""
    usage: Usage | None
    cost: Cost | None
    generation_stats: GenerationStats
    tool_log: tuple[ToolLogEntry, ...]
    event_count: int
    text_sha256: str
    metadata: dict[str, Any]


class MessagesProtocol(Protocol):
    name = "messages"
    frames = (
        MessageStart,
        AttemptStarted,
        RuntimeStatus,
        ReasoningDelta,
        Token,
        ToolCallStarted,
        ToolCallFinished,
        MessageError,
        MessageEnd,
    )

    def encoder(self) -> Encode:
        return encode


def encode(recorded: RecordedEvent) -> bytes:
    """The frames of one event; empty for events that this protocol does not show."""
    match recorded.event:
        case e.TextDelta(delta=delta):
            return _frame(recorded, Token(run_id=recorded.run_id, content=delta))
        case e.ReasoningDelta(delta=delta):
            return _frame(recorded, ReasoningDelta(run_id=recorded.run_id, delta=delta))
        case e.RunFailed() as failed:
            return _error(recorded.run_id, failed) + _frame(recorded, _end(recorded.run_id, failed, "failed"))
        case e.RunCompleted() as completed:
            return _frame(recorded, _end(recorded.run_id, completed, "completed"))
        case e.RunCancelled() as cancelled:
            return _frame(recorded, _end(recorded.run_id, cancelled, "cancelled"))
        case event:
            shown = _translate(recorded.run_id, event)
            return _frame(recorded, shown) if shown else b""


def _translate(run_id: UUID, event: e.RunEvent) -> Frame | None:
    match event:
        case e.RunStarted():
            return MessageStart(
                run_id=run_id,
                conversation_id=event.conversation_id,
                message_id=event.message_id,
                user_message_id=event.user_message_id,
                employee_id=event.employee_id,
                attempt=event.attempt,
            )
        case e.AttemptStarted(attempt=attempt, discard_after=discard_after):
            return AttemptStarted(run_id=run_id, attempt=attempt, discard_after=discard_after)
        case e.StatusChanged(stage=stage):
            return RuntimeStatus(run_id=run_id, stage=stage)
        case e.ToolCallRequested():
            return ToolCallStarted(run_id=run_id, tool_call_id=event.tool_call_id, tool=event.tool, args=event.args)
        case e.ToolCallFinished():
            return ToolCallFinished(
                run_id=run_id,
                tool_call_id=event.tool_call_id,
                tool=event.tool,
                args=event.args,
                result=event.result,
                error=event.error,
                duration_ms=event.duration_ms,
            )
        case _:
            return None


def _error(run_id: UUID, failed: e.RunFailed) -> bytes:
    error = MessageError(
        run_id=run_id,
        code=failed.code,
        title=failed.title,
        status=failed.status,
        detail=failed.detail,
        retryable=failed.retryable,
    )
    return frame(event="message_error", data=_encode(error))


def _end(run_id: UUID, end: RunEnd, status: str) -> MessageEnd:
    return MessageEnd(
        run_id=run_id,
        conversation_id=end.conversation_id,
        message_id=end.message_id,
        status=status,
        finish_reason=end.finish_reason,
        token_count=end.usage.output_tokens if end.usage else None,
        usage=end.usage,
        cost=end.cost,
        generation_stats=end.generation_stats,
        tool_log=end.tool_log,
        event_count=end.event_count,
        text_sha256=end.text_sha256,
        metadata=end.metadata,
    )


def _frame(recorded: RecordedEvent, shown: Frame) -> bytes:
    return frame(event=name_of(shown), data=_encode(shown), event_id=recorded.id)
