"""Conversations: durable, between one user and one employee."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class ConversationStatus(StrEnum):
    """A closed conversation is kept and can be read; it takes new messages only after it is active again."""

    ACTIVE = "active"
    CLOSED = "closed"


class Conversation(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    tenant_id: UUID
    employee_id: UUID
    user_id: str
    title: str | None
    external_id: str | None
    """A client's own id of the thread or chat; unique in the tenant."""
    status: ConversationStatus
    message_count: int
    session_ttl_seconds: int | None = None
    """Seconds without a message after which the session has expired and the conversation has to be reopened; null for
    the server's own setting."""
    reopened_at: datetime | None = None
    """When it was last reopened."""
    created_at: datetime
    updated_at: datetime
    last_message_at: datetime | None
