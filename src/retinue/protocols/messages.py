"""`messages`: the default protocol of a conversation's stream.

A run that fails ends with two frames, `message_error` and `message_end`. Both come from one event, so only the last one
carries its id: a client that is cut off between them resumes before both. A stream that cannot tell the run's end sends
`message_error` alone and breaks off.
"""

from typing import Any
from uuid import UUID

import msgspec

from retinue.domain import events as e
from retinue.domain.errors import RetinueError, StreamBroken
from retinue.domain.events import RecordedEvent, RunEnd
from retinue.domain.messages import ToolLogEntry
from retinue.domain.usage import Cost, GenerationStats, Usage
from retinue.protocols.base import Encode, Protocol
from retinue.protocols.frames import frame, name_of

_encode = msgspec.json.Encoder().encode


class Frame(msgspec.Struct, frozen=True, kw_only=True):
    run_id: UUID


class MessageStart(Frame, frozen=True, kw_only=True, tag="message_start"):
    """The first frame of a run, unless its beginning is not kept any more: then `snapshot` takes its place."""

    conversation_id: UUID
    message_id: UUID
    """The answer's id."""
    user_message_id: UUID
    employee_id: UUID
    attempt: int


class AttemptStarted(Frame, frozen=True, kw_only=True, tag="attempt_started"):
    """Another process has taken the run over; what came of earlier attempts after `discard_after` does not count."""

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


class MessageAppended(Frame, frozen=True, kw_only=True, tag="message_appended"):
    """The run has taken a message that came after its start; what follows answers it too."""

    user_message_id: UUID


class Snapshot(Frame, frozen=True, kw_only=True, tag="snapshot"):
    """Takes the place of everything before it that is not kept any more. Nothing of what a client has put together from
    earlier frames needs to be kept.
    """

    conversation_id: UUID
    employee_id: UUID
    user_message_id: UUID
    message_id: UUID
    status: str
    """The run's."""
    text: str
    """All of the answer's text up to here."""
    reasoning: str | None
    tool_log: tuple[ToolLogEntry, ...]


class MessageError(Frame, frozen=True, kw_only=True, tag="message_error"):
    """What went wrong, as a problem document. `message_end` follows if it is the run that failed; if it does not, the
    stream broke off, and a client may come back after the last event it got.
    """

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


_SHOWN: dict[type[msgspec.Struct], type[Frame]] = {
    e.RunStarted: MessageStart,
    e.AttemptStarted: AttemptStarted,
    e.StatusChanged: RuntimeStatus,
    e.ToolCallRequested: ToolCallStarted,
    e.ToolCallFinished: ToolCallFinished,
    e.MessageAppended: MessageAppended,
    e.SnapshotTaken: Snapshot,
}
"""Events that have the same fields as their frames; the others are translated by hand or are not shown."""


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
        MessageAppended,
        Snapshot,
        MessageError,
        MessageEnd,
    )

    def encoder(self) -> Encode:
        return encode

    def failure(self, run_id: UUID, error: StreamBroken) -> bytes:
        return _error(run_id, error, error.problem_code)


def encode(recorded: RecordedEvent) -> bytes:
    """The frames of one event; empty for events that this protocol does not show."""
    match recorded.event:
        case e.TextDelta(delta=delta):
            return _frame(recorded, Token(run_id=recorded.run_id, content=delta))
        case e.ReasoningDelta(delta=delta):
            return _frame(recorded, ReasoningDelta(run_id=recorded.run_id, delta=delta))
        case e.RunFailed() as failed:
            return _error(recorded.run_id, failed, failed.code) + _frame(
                recorded, _end(recorded.run_id, failed, "failed")
            )
        case e.RunCompleted() as completed:
            return _frame(recorded, _end(recorded.run_id, completed, "completed"))
        case e.RunCancelled() as cancelled:
            return _frame(recorded, _end(recorded.run_id, cancelled, "cancelled"))
        case event:
            shown = _translate(recorded.run_id, event)
            return _frame(recorded, shown) if shown else b""


def _translate(run_id: UUID, event: e.RunEvent) -> Frame | None:
    kind = _SHOWN.get(type(event))
    return None if kind is None else kind(run_id=run_id, **msgspec.structs.asdict(event))


def _error(run_id: UUID, failed: e.RunFailed | RetinueError, code: str) -> bytes:
    error = MessageError(
        run_id=run_id,
        code=code,
        title=failed.title,
        status=failed.status,
        detail=failed.detail,
        retryable=failed.retryable,
    )
    return frame(event=name_of(error), data=_encode(error))


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
