"""Runs: one turn of an employee each."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec

from retinue.domain.usage import Cost, GenerationStats, Usage


class RunStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


ACTIVE_STATUSES = (RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING)


class Run(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    tenant_id: UUID
    conversation_id: UUID
    employee_id: UUID
    user_message_id: UUID
    message_id: UUID
    """The answer."""
    status: RunStatus
    attempt: int
    """Counts the processes that owned the run; every write carries it and changes nothing once it is old."""
    finish_reason: str | None = None
    error_code: str | None = None
    usage: Usage | None = None
    cost: Cost | None = None
    generation_stats: GenerationStats | None = None
    event_count: int | None = None
    text_sha256: str | None = None
    created_at: datetime
    finished_at: datetime | None = None


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
