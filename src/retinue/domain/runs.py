"""Runs: one turn of an employee each."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from retinue.domain.budgets import Spender
from retinue.domain.ids import Position
from retinue.domain.model_io import Turn
from retinue.domain.policy import ReasoningEffort
from retinue.domain.usage import Cost, GenerationStats, Provenance, Usage


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class WaitingFor(StrEnum):
    """What a waiting run needs from a person."""

    APPROVAL = "approval"
    PASSWORD = "password"  # noqa: S105 - a word, not a secret
    EFFECT_UNKNOWN = "effect_unknown"
    """Somebody has to say whether a call's effect took place."""


ACTIVE_STATUSES = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING)
"""Not over. A conversation may have any number of queued runs besides the one that has started."""
STARTED_STATUSES = (RunStatus.RUNNING, RunStatus.WAITING)
"""Started and not over: at most one run of a conversation."""


class RunOptions(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the request that asked for a run chose. Stored with it, so that any process can start or resume it."""

    reasoning: ReasoningEffort | None = None


class CancelReceipt(msgspec.Struct, frozen=True, kw_only=True):
    """What stopping a run did, and what had been spent by then."""

    requested_at: datetime
    socket_closed_at: datetime | None
    """When the provider's connection was closed; null if none was open."""
    tokens_received: int | None
    """Output tokens of all model calls of the run; null if no call had begun to answer."""
    charged: Cost | None
    """Null if the price is not known."""
    provenance: Provenance | None
    """Whether the provider counted the tokens or Retinue estimated them."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    tenant_id: UUID
    conversation_id: UUID
    employee_id: UUID
    user_id: str | None = None
    """The conversation's."""
    key_id: UUID | None = None
    """The API key on whose account it goes; null where no tenant's key asked for it."""
    user_message_id: UUID
    message_id: UUID
    """The answer."""
    status: RunStatus
    waiting_for: WaitingFor | None = None
    """Set only while the status is `waiting`."""
    attempt: int
    """Counts the processes that owned the run; every write carries it and changes nothing once it is old."""
    position: int
    """Of its user message in the conversation."""
    is_urgent: bool = False
    """Starts before every other queued run: it came to interrupt the one before it."""
    ordinal: int | None = None
    """Counts the started runs of a conversation in the order of their starts; null while queued."""
    options: RunOptions = RunOptions()
    pauses: int = 0
    """How often it has gone on after waiting. These attempts do not count towards the bound on attempts."""
    appended: int = 0
    """Messages that were added to the run after its start."""
    cancel_requested_at: datetime | None = None
    receipt: CancelReceipt | None = None
    """Of a cancelled run."""
    finish_reason: str | None = None
    error_code: str | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    generation_stats: GenerationStats | None = None
    event_count: int | None = None
    text_sha256: str | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None
    pruned_at: datetime | None = None
    """When its events were reduced to the last one."""


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A step that is complete and is never run again: where the run goes on when its process is lost."""

    run_id: UUID
    step: int
    position: Position
    """Of the last event that belongs to the step."""
    turns: tuple[Turn, ...]
    """What the step added to the conversation with the model."""


class CallOutcome(StrEnum):
    """How one provider attempt ended. `open` until it is closed, exactly once."""

    OPEN = "open"
    COMPLETED = "completed"
    FAILED = "failed"
    ABORTED = "aborted"


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a provider: the unit of billing. Kept when its conversation is deleted."""

    id: UUID
    tenant_id: UUID
    run_id: UUID
    conversation_id: UUID
    employee_id: UUID
    user_id: str | None = None
    key_id: UUID | None = None
    step: int
    attempt: int
    """The run's attempt that made the call."""
    tries: int
    """1 for the first call of a step, 2 for its first retry, …"""
    provider: str
    model: str
    outcome: CallOutcome
    error_code: str | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    opened_at: datetime
    closed_at: datetime | None = None

    @property
    def spender(self) -> Spender:
        return Spender(tenant_id=self.tenant_id, employee_id=self.employee_id, user_id=self.user_id, key_id=self.key_id)
