"""Approvals: a person's yes to exactly one tool call, for a limited time."""

from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

from retinue.domain.tools import Effect, Risk


class ApprovalStatus(StrEnum):
    PENDING = "pending"
    GRANTED = "granted"
    DENIED = "denied"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    """The run went another way before anybody decided: it was cancelled, it ended, or a grant covers the call."""


class Decision(StrEnum):
    ALLOW_ONCE = "allow_once"
    ALLOW_FOR_CONVERSATION = "allow_for_conversation"
    DENY = "deny"


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    tenant_id: UUID
    run_id: UUID
    conversation_id: UUID
    employee_id: UUID
    call_position: int
    """Of the call in the run's journal; approvals of a run are handled in this order."""
    tool_call_id: str
    tool: str
    tool_version: str
    args: Any
    """What was shown. The digest binds the approval to it."""
    digest: str
    effect: Effect
    risk: Risk
    scope: str
    """What it is limited to besides the arguments: a place outside the usual ground, a command; empty for neither."""
    reason: str
    """Why a person is asked."""
    message: str
    """The question, ready to be shown."""
    status: ApprovalStatus = ApprovalStatus.PENDING
    decision: Decision | None = None
    decided_by: str | None = None
    comment: str | None = None
    requested_at: datetime
    expires_at: datetime
    """On the database's clock."""
    decided_at: datetime | None = None
    paused_attempt: int
    paused_seq: int
    """With `paused_attempt`, the position of the event at which the run last paused before this call."""
    password_expires_at: datetime | None = None
    """Until when a password for this call is waited for; null if none is."""
    password_tries: int = 0
    """Wrong passwords so far."""


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """An approval for the rest of a conversation."""

    id: UUID
    tenant_id: UUID
    conversation_id: UUID
    approval_id: UUID
    tool: str
    tool_version: str
    effect: Effect
    """Covers calls that change as much as this and less."""
    risk: Risk
    """Covers calls of this risk and below."""
    scope: str
    """Covers exactly this scope."""
    granted_by: str
    created_at: datetime

    def covers(self, *, tool: str, version: str, effect: Effect, risk: Risk, scope: str) -> bool:
        return (
            self.tool == tool
            and self.tool_version == version
            and self.scope == scope
            and effect.severity <= self.effect.severity
            and risk.severity <= self.risk.severity
        )


def call_digest(*, tenant_id: UUID, run_id: UUID, call_id: str, tool: str, version: str, args: Any) -> str:
    """SHA-256, in hexadecimal, of everything that an approval is bound to. The arguments count as values: their order
    and spelling in JSON do not matter.
    """
    bound = [str(tenant_id), str(run_id), call_id, tool, version, args]
    return sha256(msgspec.json.encode(bound, order="sorted")).hexdigest()
