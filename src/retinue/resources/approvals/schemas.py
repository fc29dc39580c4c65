"""Bodies and answers of the approvals resource."""

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from retinue.domain.approvals import Approval, ApprovalStatus, Decision
from retinue.domain.tools import Effect, Risk
from retinue.http.schemas import Comment, RequestBody


class ShownApproval(msgspec.Struct, frozen=True, kw_only=True):
    """A question to a person, and what was said to it."""

    approval_id: UUID
    tenant_id: UUID
    run_id: UUID
    task_id: UUID
    """The same as `run_id`."""
    conversation_id: UUID
    employee_id: UUID
    tool_call_id: str
    tool: str
    args: Any
    """What the tool would be called with: this, and nothing else, is allowed."""
    effect: Effect
    """What it would change at worst."""
    risk_level: Risk
    scope: str
    """What an approval is limited to besides the arguments: a place outside the tool's usual ground, a command; empty
    for neither."""
    reason: str
    """Why a person is asked."""
    message: str
    """The question, ready to be shown."""
    status: ApprovalStatus
    decision: Decision | None
    decided_by: str | None
    comment: str | None
    requested_at: datetime
    expires_at: datetime
    decided_at: datetime | None
    password_expires_at: datetime | None
    """Until when a password for this call is waited for; null if none is."""


class DecisionComment(RequestBody, frozen=True, kw_only=True):
    """What the decider says to it. The employee is told why something was denied."""

    comment: Comment | None = None


class DecisionBody(RequestBody, frozen=True, kw_only=True):
    """A decision as an object; `true` and `false` alone are decisions, too."""

    approved: bool = False
    """True allows the call once. Left out, the call is denied."""
    comment: Comment | None = None


def shown(approval: Approval) -> ShownApproval:
    """All of it but what only the engine needs: the digest, and the place of the pause."""
    return ShownApproval(
        approval_id=approval.id,
        tenant_id=approval.tenant_id,
        run_id=approval.run_id,
        task_id=approval.run_id,
        conversation_id=approval.conversation_id,
        employee_id=approval.employee_id,
        tool_call_id=approval.tool_call_id,
        tool=approval.tool,
        args=approval.args,
        effect=approval.effect,
        risk_level=approval.risk,
        scope=approval.scope,
        reason=approval.reason,
        message=approval.message,
        status=approval.status,
        decision=approval.decision,
        decided_by=approval.decided_by,
        comment=approval.comment,
        requested_at=approval.requested_at,
        expires_at=approval.expires_at,
        decided_at=approval.decided_at,
        password_expires_at=approval.password_expires_at,
    )
