"""What employees do: tool calls, their effects and risks, and the journal that says what became of each."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec


class Effect(StrEnum):
    """What calling a tool changes in the world. It decides what may be repeated."""

    READ = "read"
    """Nothing. May be repeated at any time, and together with other reads."""
    IDEMPOTENT = "idempotent"
    """Something, but repeating the call under the same idempotency key changes nothing more."""
    WRITE = "write"
    """Something, each time: it is never repeated unless a person says so."""

    @property
    def severity(self) -> int:
        return list(Effect).index(self)


class Risk(StrEnum):
    """How bad a call may turn out. The server computes it; a model's own word can only raise it."""

    NONE = "none"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"

    @property
    def severity(self) -> int:
        return _SEVERITY[self]

    def or_worse(self, other: "Risk") -> "Risk":
        """The worse of the two."""
        return max(self, other, key=lambda risk: risk.severity)


_SEVERITY = {Risk.NONE: 0, Risk.LOW: 1, Risk.MEDIUM: 2, Risk.HIGH: 3}


class Assessment(msgspec.Struct, frozen=True, kw_only=True):
    """What one call would do, as the tool itself computes it from the arguments before anything happens."""

    effect: Effect
    risk: Risk
    reason: str = ""
    """For the person who decides: why this call deserves a look. One sentence."""
    scope: str = ""
    """What the call reaches beyond the tool's usual ground, such as a directory outside the workspace. An approval
    covers its scope exactly; empty for the usual ground. Any scope has to be asked for."""
    action_type: str = ""
    """The kind of a command, such as `package_check`; empty for tools that run none."""
    command: str | None = None
    """The command that would be run, for the audit of commands."""
    refusal: str | None = None
    """Why nobody may do this, not even with an approval; null if it is a matter of permission."""
    needs_password: bool = False
    """The call can only be carried out with a password that a person supplies for it."""


class ToolErrorKind(StrEnum):
    """The one taxonomy of what goes wrong with a tool."""

    TRANSIENT = "transient"
    """Busy, slow or unreachable (408, 429, 500, 502, 503, 504, timeouts, connect errors): may work later."""
    AUTH = "auth"
    """The other side does not accept who asks (401, 403)."""
    VALIDATION = "validation"
    """The arguments are wrong (other 4xx): the model can mend them."""
    UNKNOWN = "unknown"


class CallStatus(StrEnum):
    """What became of a tool call. All but the first three are final, except that a person resolves
    `outcome_unknown`."""

    PROPOSED = "proposed"
    """The model asks for it; nothing has happened."""
    APPROVED = "approved"
    """A person allowed it; nothing has happened."""
    EXECUTING = "executing"
    """Committed before the tool is called: from here on its effect may have taken place."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """It did not take place, or it read something and that failed."""
    DENIED = "denied"
    EXPIRED = "expired"
    """Nobody decided in time."""
    OUTCOME_UNKNOWN = "outcome_unknown"
    """Nobody can know whether its effect took place."""


OPEN_CALLS = (CallStatus.PROPOSED, CallStatus.APPROVED, CallStatus.EXECUTING)
"""Calls that may still come to something."""


class JournalEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call of a run, from the wish to the outcome."""

    run_id: UUID
    position: int
    """Counts the run's calls from 1, in the order in which the model asked."""
    step: int
    call_id: str
    """The provider's id of the call; unique in the run."""
    name: str
    version: str
    """Of the tool; empty for a tool that there is not."""
    args: Any
    """As they were read; what is stored is what runs."""
    effect: Effect
    risk: Risk
    status: CallStatus = CallStatus.PROPOSED
    result: Any = None
    error: str | None = None
    """A stable code."""
    detail: str | None = None
    """The error in words, as the model is told."""
    duration_ms: int | None = None
    approval_id: UUID | None = None
    resolved_by: str | None = None
    """Who said what became of a call whose outcome nobody knew."""
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        return self.status in OPEN_CALLS

    @property
    def was_tried(self) -> bool:
        """Whether its effect may have taken place, whatever its state: it was begun, or a person wants it again."""
        if self.effect is Effect.READ:
            return False
        return self.status is CallStatus.EXECUTING or (self.is_open and self.resolved_by is not None)

    @property
    def idempotency_key(self) -> str:
        """The same for every try of this call, and of no other."""
        return f"{self.run_id}:{self.position}"


class Resolution(StrEnum):
    """What a person says about a call whose outcome is unknown."""

    HAPPENED = "happened"
    DID_NOT_HAPPEN = "did_not_happen"
    RETRY = "retry"
