"""Canonical run events: the single truth about a run, whatever protocol a client reads it in.

Names are `noun.past_participle` or `noun.delta`. A payload carries no id and no time: the recorder wraps it into a
`RecordedEvent` that does.
"""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from retinue.domain.approvals import Decision
from retinue.domain.ids import Position, event_id, time_of
from retinue.domain.messages import ToolLogEntry
from retinue.domain.runs import WaitingFor
from retinue.domain.tools import Risk
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
    """`queued`, `planning`, `running_tool`, `answering` or `waiting`."""


class ReasoningDelta(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="reasoning.delta"):
    delta: str


class TextDelta(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="text.delta"):
    """The deltas of a run add up to the stored message exactly."""

    delta: str


class ToolCallStarted(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call.started"):
    tool_call_id: str
    tool: str


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag="tool_call.delta"):
    tool_call_id: str
    delta: str


class ToolCallRequested(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call.requested"):
    tool_call_id: str
    tool: str
    args: Any
    """The parsed arguments, or the raw text where it is not JSON."""
    is_repaired: bool = False
    """Whether the model's JSON was broken, and this is what was made of it."""


class ToolCallFinished(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call.finished"):
    tool_call_id: str
    tool: str
    args: Any
    result: Any = None
    error: str | None = None
    """A stable code; null if the call succeeded."""
    detail: str | None = None
    """The error in words."""
    duration_ms: int


class ApprovalRequested(msgspec.Struct, frozen=True, kw_only=True, tag="approval.requested"):
    """A person has to decide about a call before it is carried out."""

    approval_id: UUID
    tool_call_id: str
    tool: str
    args: Any
    risk_level: Risk
    reason: str
    message: str
    """The question, ready to be shown."""
    expires_at: datetime


class ApprovalDecided(msgspec.Struct, frozen=True, kw_only=True, tag="approval.decided"):
    approval_id: UUID
    tool_call_id: str
    tool: str
    decision: Decision
    decided_by: str
    comment: str | None = None


class ApprovalExpired(msgspec.Struct, frozen=True, kw_only=True, tag="approval.expired"):
    """Nobody decided in time; the run ends."""

    approval_id: UUID
    tool_call_id: str
    tool: str
    message: str
    """What happened, ready to be shown: names the tool and the time that there was."""


class PasswordRequested(msgspec.Struct, frozen=True, kw_only=True, tag="password.requested"):
    """A call that was allowed needs a password, for this one time."""

    approval_id: UUID
    tool_call_id: str
    tool: str
    expires_at: datetime
    tries_left: int


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
    """Events of the run over all its attempts, this one included, as `GET /runs/{id}/events` lists them. A stream
    leaves out the pauses after which the run has gone on."""
    text_sha256: str
    """SHA-256, in hexadecimal, of the stored message's text as UTF-8."""
    metadata: dict[str, Any]


class RunPaused(RunEnd, frozen=True, kw_only=True, tag="run.paused"):
    """The run waits for a person and is in no process; what it has produced so far is stored.

    It ends the streams of those who follow the run. What comes after a decision follows it in the same log.
    """

    waiting_for: WaitingFor
    approval_ids: tuple[UUID, ...] = ()
    """What has to be decided, in the order in which it is handled."""
    tool_call_ids: tuple[str, ...] = ()
    """The calls whose outcome a person has to find out."""


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


class RunExpired(RunEnd, frozen=True, kw_only=True, tag="run.expired"):
    """What the run waited for did not come in time."""


TerminalEvent = RunCompleted | RunFailed | RunCancelled | RunExpired
TERMINAL_EVENTS = (RunCompleted, RunFailed, RunCancelled, RunExpired)

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
    | ApprovalRequested
    | ApprovalDecided
    | ApprovalExpired
    | PasswordRequested
    | UsageRecorded
    | MessageAppended
    | SnapshotTaken
    | RunPaused
    | RunCompleted
    | RunFailed
    | RunCancelled
    | RunExpired
)


class RecordedEvent(msgspec.Struct, frozen=True, gc=False):
    """An event at its place in the run's log. Nothing in it leads back to it, so the garbage collector passes it by, as
    it does the deltas: a stream holds many.
    """

    run_id: UUID
    attempt: int
    seq: int
    at_ms: int
    """Milliseconds since 1970, as precise as it is stored, so that an event reads the same live and later."""
    event: RunEvent

    @property
    def position(self) -> Position:
        return Position(self.attempt, self.seq)

    @property
    def at(self) -> datetime:
        return time_of(self.at_ms)

    @property
    def id(self) -> str:
        return event_id(self.run_id, self.position)

    @property
    def is_terminal(self) -> bool:
        return isinstance(self.event, TERMINAL_EVENTS)

    @property
    def is_pause(self) -> bool:
        return isinstance(self.event, RunPaused)
