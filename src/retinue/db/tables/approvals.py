"""Approvals and what was granted for the rest of a conversation."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned, parent
from retinue.db.types import Word
from retinue.domain.approvals import ApprovalStatus, Decision
from retinue.domain.tools import Effect, Risk

_PENDING = sa.text("status = 'pending'")
_AWAITED = sa.text("password_expires_at IS NOT NULL")


class Approval(Owned, Base, kw_only=True):
    """What its run knows better, such as the employee, has no foreign key of its own."""

    __tablename__ = "approvals"
    __table_args__ = (
        parent("run_id", "runs"),
        sa.Index("uq_approvals_id", "id", unique=True),
        sa.Index("ix_approvals_run", "tenant_id", "run_id", "call_position"),
        sa.Index("ix_approvals_pending", "tenant_id", "id", sqlite_where=_PENDING, postgresql_where=_PENDING),
        # These two do not begin with the tenant: what came too late is swept for all tenants at once.
        sa.Index("ix_approvals_expiry", "expires_at", sqlite_where=_PENDING, postgresql_where=_PENDING),
        sa.Index("ix_approvals_password", "password_expires_at", sqlite_where=_AWAITED, postgresql_where=_AWAITED),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    run_id: Mapped[UUID]
    conversation_id: Mapped[UUID]
    employee_id: Mapped[UUID]
    call_position: Mapped[int]
    tool_call_id: Mapped[str]
    tool: Mapped[str]
    tool_version: Mapped[str]
    args: Mapped[str] = mapped_column(repr=False)
    """The JSON text."""
    digest: Mapped[str]
    effect: Mapped[Effect] = mapped_column(Word(Effect))
    risk: Mapped[Risk] = mapped_column(Word(Risk))
    scope: Mapped[str]
    reason: Mapped[str] = mapped_column(repr=False)
    message: Mapped[str] = mapped_column(repr=False)
    status: Mapped[ApprovalStatus] = mapped_column(Word(ApprovalStatus))
    decision: Mapped[Decision | None] = mapped_column(Word(Decision))
    decided_by: Mapped[str | None]
    comment: Mapped[str | None] = mapped_column(repr=False)
    requested_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    """On the database's clock, as `decided_at` and `password_expires_at` are."""
    decided_at: Mapped[datetime | None]
    paused_attempt: Mapped[int]
    paused_seq: Mapped[int]
    password_expires_at: Mapped[datetime | None]
    password_tries: Mapped[int]


class ConversationGrant(Owned, Base, kw_only=True):
    __tablename__ = "conversation_grants"
    __table_args__ = (
        parent("conversation_id", "conversations"),
        sa.Index("ix_conversation_grants_conversation", "tenant_id", "conversation_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    conversation_id: Mapped[UUID]
    approval_id: Mapped[UUID]
    tool: Mapped[str]
    tool_version: Mapped[str]
    effect: Mapped[Effect] = mapped_column(Word(Effect))
    risk: Mapped[Risk] = mapped_column(Word(Risk))
    scope: Mapped[str]
    granted_by: Mapped[str]
    created_at: Mapped[datetime]
