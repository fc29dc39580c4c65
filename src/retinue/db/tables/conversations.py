"""Conversations and their messages."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned, owner, parent
from retinue.db.types import Json, Word
from retinue.domain.conversations import ConversationStatus
from retinue.domain.messages import MessageStatus, Role, ToolLogEntry
from retinue.domain.usage import Usage

_NAMED = sa.text("external_id IS NOT NULL")
_PENDING = sa.text("status = 'pending'")
_OF_USER = sa.text("role = 'user'")


class Conversation(Owned, Base, kw_only=True):
    __tablename__ = "conversations"
    __table_args__ = (
        owner(),
        # No cascade: an employee's row must not go while a conversation tells of it.
        sa.ForeignKeyConstraint(["tenant_id", "employee_id"], ["employees.tenant_id", "employees.id"]),
        sa.Index(
            "uq_conversations_external_id",
            "tenant_id",
            "external_id",
            unique=True,
            sqlite_where=_NAMED,
            postgresql_where=_NAMED,
        ),
        sa.Index("uq_conversations_id", "id", unique=True),
        sa.Index("ix_conversations_employee", "tenant_id", "employee_id", "id"),
        sa.Index("ix_conversations_user", "tenant_id", "user_id", "id"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    employee_id: Mapped[UUID]
    user_id: Mapped[str]
    title: Mapped[str | None]
    external_id: Mapped[str | None]
    status: Mapped[ConversationStatus] = mapped_column(Word(ConversationStatus))
    message_count: Mapped[int]
    session_ttl_seconds: Mapped[int | None]
    reopened_at: Mapped[datetime | None]
    """On the database's clock."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    last_message_at: Mapped[datetime | None]


class Message(Owned, Base, kw_only=True):
    """`run_id` has no foreign key: a run names its two messages and they name it, and a circle of keys would need
    deferred checks. All three die with their conversation, so the keys could protect nothing more.
    """

    __tablename__ = "messages"
    __table_args__ = (
        parent("conversation_id", "conversations"),
        sa.UniqueConstraint("tenant_id", "conversation_id", "position"),
        sa.Index("ix_messages_pending", "tenant_id", "run_id", sqlite_where=_PENDING, postgresql_where=_PENDING),
        sa.Index(
            "ix_messages_user",
            "tenant_id",
            "conversation_id",
            "created_at",
            sqlite_where=_OF_USER,
            postgresql_where=_OF_USER,
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    conversation_id: Mapped[UUID]
    run_id: Mapped[UUID | None]
    position: Mapped[int]
    role: Mapped[Role] = mapped_column(Word(Role))
    content: Mapped[str] = mapped_column(repr=False)
    reasoning: Mapped[str | None] = mapped_column(repr=False)
    status: Mapped[MessageStatus] = mapped_column(Word(MessageStatus))
    finish_reason: Mapped[str | None]
    error_code: Mapped[str | None]
    tool_log: Mapped[tuple[ToolLogEntry, ...]] = mapped_column(Json(tuple[ToolLogEntry, ...]), repr=False)
    usage: Mapped[Usage | None] = mapped_column(Json(Usage))
    cost_micros: Mapped[int | None] = mapped_column(sa.BigInteger)
    currency: Mapped[str | None]
    details: Mapped[dict[str, Any]] = mapped_column(Json(dict[str, Any]))
    """The message's metadata; that name is taken by the table's own."""
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
