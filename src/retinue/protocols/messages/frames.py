"""What can stand in a `data:` line of the protocol `messages`."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from retinue.domain.approvals import Decision
from retinue.domain.messages import ToolLogEntry
from retinue.domain.runs import WaitingFor
from retinue.domain.tools import Risk
from retinue.domain.usage import Cost, GenerationStats, Usage

WAITING = {
    WaitingFor.APPROVAL: "waiting_for_approval",
    WaitingFor.PASSWORD: "waiting_for_password",
    WaitingFor.EFFECT_UNKNOWN: "effect_unknown",
}
"""The status of an answer whose run has paused."""


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
    is_repaired: bool = False
    """Whether the model's JSON was broken, and this is what was made of it."""


class ToolCallFinished(Frame, frozen=True, kw_only=True, tag="tool_call_finished"):
    tool_call_id: str
    tool: str
    args: Any
    result: Any
    error: str | None
    """A stable code; null if the call succeeded."""
    detail: str | None
    """The error in words."""
    duration_ms: int


class ToolApprovalRequested(Frame, frozen=True, kw_only=True, tag="tool_approval_requested"):
    """A person has to decide about a call. The stream ends soon after; what follows a decision follows this in the same
    run.
    """

    approval_id: UUID
    tool_call_id: str
    tool: str
    args: Any
    risk_level: Risk
    reason: str
    """Why a person is asked."""
    message: str
    """The question, ready to be shown."""
    expires_at: datetime


class ToolApprovalDecided(Frame, frozen=True, kw_only=True, tag="tool_approval_decided"):
    approval_id: UUID
    tool_call_id: str
    tool: str
    decision: Decision
    decided_by: str
    comment: str | None


class ToolApprovalExpired(Frame, frozen=True, kw_only=True, tag="tool_approval_expired"):
    """Nobody decided in time; the run ends."""

    approval_id: UUID
    tool_call_id: str
    tool: str
    message: str
    """What happened, ready to be shown."""


class ToolPasswordRequested(Frame, frozen=True, kw_only=True, tag="tool_password_requested"):
    """A call that was allowed needs a password, for this one time."""

    approval_id: UUID
    tool_call_id: str
    tool: str
    expires_at: datetime
    tries_left: int


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
    """Always the last frame, also where the run only pauses. It follows the commit: what it says is stored."""

    conversation_id: UUID
    message_id: UUID
    status: str
    """`completed`, `failed`, `cancelled` or `expired`; where the run pauses and goes on later under the same
    `message_id`, `waiting_for_approval`, `waiting_for_password` or `effect_unknown`.
    """
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
    approval_ids: tuple[UUID, ...] = ()
    """What a waiting run waits for, in the order in which it is handled."""
    tool_call_ids: tuple[str, ...] = ()
    """The calls of which a person has to find out whether they took effect."""
