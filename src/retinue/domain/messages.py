"""What people and employees say to each other."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec

from retinue.domain.usage import Cost, Usage


class Role(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"


class MessageStatus(StrEnum):
    """`pending` while a message waits for its run to start or to take it; `streaming` only while a run writes the
    answer, `waiting` while that run waits for a person; every run ends it as one of the last four. A user's message
    that was withdrawn is `cancelled`.
    """

    PENDING = "pending"
    STREAMING = "streaming"
    WAITING = "waiting"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class ToolLogEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One tool call, in the order of the calls. Either `result` or `error` is null."""

    tool_call_id: str
    name: str
    args: Any
    result: Any
    error: str | None
    """A stable code."""
    detail: str | None = None
    """The error in words."""
    duration_ms: int


class Utterance(msgspec.Struct, frozen=True):
    """What a message says, and nothing else of it."""

    role: Role
    content: str
    reasoning: str | None = None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A stored message. The order inside a conversation is `position`, which has no ties."""

    id: UUID
    tenant_id: UUID
    conversation_id: UUID
    run_id: UUID | None = None
    position: int
    role: Role
    content: str
    reasoning: str | None = None
    status: MessageStatus = MessageStatus.COMPLETED
    finish_reason: str | None = None
    error_code: str | None = None
    tool_log: tuple[ToolLogEntry, ...] = ()
    usage: Usage | None = None
    cost: Cost | None = None
    metadata: dict[str, Any] = msgspec.field(default_factory=dict)
    """Which provider and model spoke; `{"scripted": true}` marks an answer of the offline provider."""
    created_at: datetime
    updated_at: datetime
