"""Runs, their event log, their checkpoints and their tool calls."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned, parent
from retinue.db.types import AnyJson, Json, Word
from retinue.domain.model_io import Turn
from retinue.domain.runs import CancelReceipt, RunOptions, RunStatus, WaitingFor
from retinue.domain.tools import CallStatus, Effect, Risk
from retinue.domain.usage import GenerationStats, Usage

_STARTED = sa.text("status IN ('running', 'waiting')")
_RUNNING = sa.text("status = 'running'")
_QUEUED = sa.text("status = 'queued'")
_PRUNABLE = sa.text("finished_at IS NOT NULL AND pruned_at IS NULL")


class Run(Owned, Base, kw_only=True):
    """`user_message_id` and `message_id` have no foreign key; see `Message`."""

    __tablename__ = "runs"
    __table_args__ = (
        parent("conversation_id", "conversations"),
        sa.ForeignKeyConstraint(["tenant_id", "employee_id"], ["employees.tenant_id", "employees.id"]),
        sa.Index(
            "uq_runs_active",
            "tenant_id",
            "conversation_id",
            unique=True,
            sqlite_where=_STARTED,
            postgresql_where=_STARTED,
        ),
        # Queued runs have no ordinal, and nulls never equal each other.
        sa.Index("uq_runs_ordinal", "tenant_id", "conversation_id", "ordinal", unique=True),
        sa.Index("uq_runs_id", "id", unique=True),
        sa.Index("ix_runs_conversation", "tenant_id", "conversation_id", "id"),
        sa.Index("ix_runs_queued", "tenant_id", "conversation_id", sqlite_where=_QUEUED, postgresql_where=_QUEUED),
        sa.Index(
            "ix_runs_employee_active", "tenant_id", "employee_id", sqlite_where=_STARTED, postgresql_where=_STARTED
        ),
        # These two do not begin with the tenant: leases are taken over, and logs pruned, for all tenants at once.
        sa.Index("ix_runs_lease", "lease_expires_at", sqlite_where=_RUNNING, postgresql_where=_RUNNING),
        sa.Index("ix_runs_prunable", "finished_at", sqlite_where=_PRUNABLE, postgresql_where=_PRUNABLE),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    conversation_id: Mapped[UUID]
    employee_id: Mapped[UUID]
    user_id: Mapped[str | None]
    key_id: Mapped[UUID | None]
    """Of the key that asked for it. Has no foreign key: the run outlives it."""
    user_message_id: Mapped[UUID]
    message_id: Mapped[UUID]
    status: Mapped[RunStatus] = mapped_column(Word(RunStatus))
    waiting_for: Mapped[WaitingFor | None] = mapped_column(Word(WaitingFor))
    attempt: Mapped[int]
    position: Mapped[int]
    is_urgent: Mapped[bool]
    ordinal: Mapped[int | None]
    options: Mapped[RunOptions] = mapped_column(Json(RunOptions))
    pauses: Mapped[int]
    appended: Mapped[int]
    owner: Mapped[str | None]
    """Null while queued, and once its process has let go of it."""
    lease_expires_at: Mapped[datetime | None]
    """On the database's clock."""
    cancel_requested_at: Mapped[datetime | None]
    """On the database's clock."""
    receipt: Mapped[CancelReceipt | None] = mapped_column(Json(CancelReceipt))
    finish_reason: Mapped[str | None]
    error_code: Mapped[str | None]
    usage: Mapped[Usage | None] = mapped_column(Json(Usage))
    cost_micros: Mapped[int | None] = mapped_column(sa.BigInteger)
    currency: Mapped[str | None]
    generation_stats: Mapped[GenerationStats | None] = mapped_column(Json(GenerationStats))
    event_count: Mapped[int | None]
    text_sha256: Mapped[str | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    pruned_at: Mapped[datetime | None]


class RunEvents(Owned, Base, kw_only=True):
    """A contiguous range of a run's events, as JSON `[[milliseconds since 1970, event], …]`."""

    __tablename__ = "run_events"
    __table_args__ = (parent("run_id", "runs"),)

    run_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    attempt: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    first_seq: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    last_seq: Mapped[int]
    payload: Mapped[bytes] = mapped_column(repr=False)


class Checkpoint(Owned, Base, kw_only=True):
    """A complete step. Needed only until its run ends."""

    __tablename__ = "checkpoints"
    __table_args__ = (parent("run_id", "runs"),)

    run_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    attempt: Mapped[int]
    seq: Mapped[int]
    """With `attempt`, the position of the step's last event."""
    turns: Mapped[tuple[Turn, ...]] = mapped_column(Json(tuple[Turn, ...]), repr=False)


class ToolCall(Owned, Base, kw_only=True):
    """The journal of effects."""

    __tablename__ = "tool_calls"
    __table_args__ = (parent("run_id", "runs"),)

    run_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    """Counts the run's calls from 1."""
    step: Mapped[int]
    """0 in rows of versions that did not know it."""
    call_id: Mapped[str]
    name: Mapped[str]
    version: Mapped[str]
    arguments: Mapped[str] = mapped_column(repr=False)
    """The JSON text."""
    effect: Mapped[Effect] = mapped_column(Word(Effect))
    risk: Mapped[Risk] = mapped_column(Word(Risk))
    status: Mapped[CallStatus] = mapped_column(Word(CallStatus))
    result: Mapped[Any] = mapped_column(AnyJson(), nullable=True, repr=False)
    error: Mapped[str | None]
    detail: Mapped[str | None] = mapped_column(repr=False)
    duration_ms: Mapped[int | None]
    approval_id: Mapped[UUID | None]
    """Has no foreign key: both die with their run."""
    resolved_by: Mapped[str | None]
    started_at: Mapped[datetime | None]
    """On the database's clock, as `finished_at` is."""
    finished_at: Mapped[datetime | None]
