"""Canonical run events: the single truth about a run, whatever protocol a client reads it in.

Names are `noun.past_participle` or `noun.delta`. A payload carries no id and no time: the recorder wraps it into a
`RecordedEvent` that does.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from retinue.domain.ids import Position, event_id
from retinue.domain.messages import ToolLogEntry
from retinue.domain.usage import Cost, GenerationStats, Usage


class RunStarted(msgspec.Struct, frozen=True, kw_only=True, tag="run.started"):
    conversation_id: UUID
    employee_id: UUID
    user_message_id: UUID
    message_id: UUID
    """The answer's id. It outlives the run: a paused answer goes on under the same id."""
    attempt: int


class AttemptStarted(msgspec.Struct, frozen=True, kw_only=True, tag="attempt.started"):
    """Another process has taken the run over. What a client read of earlier attempts after `discard_after` is taken
    back.
    """

    attempt: int
    discard_after: str | None
    """Id of the last event of earlier attempts that counts; null if none of them does."""


class StepStarted(msgspec.Struct, frozen=True, kw_only=True, tag="step.started"):
    step: int


class StatusChanged(msgspec.Struct, frozen=True, kw_only=True, tag="status.changed"):
    stage: str
    """`queued`, `planning`, `running_tool` or `answering`."""


class ReasoningDelta(msgspec.Struct, frozen=True, kw_only=True, tag="reasoning.delta"):
    delta: str


class TextDelta(msgspec.Struct, frozen=True, kw_only=True, tag="text.delta"):
    """The deltas of a run add up to the stored message exactly."""

    delta: str


class ToolCallStarted(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call.started"):
    tool_call_id: str
    tool: str


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call.delta"):
    tool_call_id: str
    delta: str


class ToolCallRequested(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call.requested"):
    tool_call_id: str
    tool: str
    args: Any
    """The parsed arguments, or the raw text where it is not JSON."""


class ToolCallFinished(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call.finished"):
    tool_call_id: str
    tool: str
    args: Any
    result: Any = None
    error: str | None = None
    duration_ms: int


class UsageRecorded(msgspec.Struct, frozen=True, kw_only=True, tag="usage.recorded"):
    """One model call is over and its ledger row is closed."""

    step: int
    provider: str
    model: str
    usage: Usage
    cost: Cost | None = None


class MessageAppended(msgspec.Struct, frozen=True, kw_only=True, tag="message.appended"):
    """The run has taken a message that came after its start; what follows answers it too."""

    user_message_id: UUID


class SnapshotTaken(msgspec.Struct, frozen=True, kw_only=True, tag="snapshot.taken"):
    """Stands for events that are not kept any more: all that the run had produced up to this position.

    Made when it is read, never stored.
    """

    conversation_id: UUID
    employee_id: UUID
    user_message_id: UUID
    message_id: UUID
    status: str
    """The run's."""
    text: str
    reasoning: str | None
    tool_log: tuple[ToolLogEntry, ...]


class RunEnd(msgspec.Struct, frozen=True, kw_only=True):
    """What every terminal event carries, so that a client can prove that it got everything."""

    conversation_id: UUID
    message_id: UUID
    finish_reason: str
    usage: Usage | None
    cost: Cost | None
    generation_stats: GenerationStats
    tool_log: tuple[ToolLogEntry, ...]
    event_count: int
    """Events of the run over all its attempts, this one included."""
    text_sha256: str
    """SHA-256, in hexadecimal, of the stored message's text as UTF-8."""
    metadata: dict[str, Any]


class RunCompleted(RunEnd, frozen=True, kw_only=True, tag="run.completed"):
    pass


class RunFailed(RunEnd, frozen=True, kw_only=True, tag="run.failed"):
    code: str
    title: str
    status: int
    detail: str
    retryable: bool


class RunCancelled(RunEnd, frozen=True, kw_only=True, tag="run.cancelled"):
    pass


TerminalEvent = RunCompleted | RunFailed | RunCancelled
TERMINAL_EVENTS = (RunCompleted, RunFailed, RunCancelled)

RunEvent = (
    RunStarted
    | AttemptStarted
    | StepStarted
    | StatusChanged
    | ReasoningDelta
    | TextDelta
    | ToolCallStarted
    | ToolCallDelta
    | ToolCallRequested
    | ToolCallFinished
    | UsageRecorded
    | MessageAppended
    | SnapshotTaken
    | RunCompleted
    | RunFailed
    | RunCancelled
)


class RecordedEvent(msgspec.Struct, frozen=True):
    """An event at its place in the run's log."""

    run_id: UUID
    position: Position
    at: datetime
    event: RunEvent

    @property
    def id(self) -> str:
        return event_id(self.run_id, self.position)

    @property
    def is_terminal(self) -> bool:
        return isinstance(self.event, TERMINAL_EVENTS)
