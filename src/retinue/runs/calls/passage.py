"""Whether a call may be made now: the gate's ruling together with what people have said."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from retinue.domain.approvals import Approval, ApprovalStatus, Grant, call_digest
from retinue.domain.runs import Run
from retinue.domain.tools import Assessment, CallStatus, JournalEntry
from retinue.runs.calls.gate import Allow, Ask, Deny, may_be_granted_for_conversation
from retinue.runs.calls.toolbox import Prepared


class Go(msgspec.Struct, frozen=True):
    """The call may be made."""

    approval_id: UUID | None = None
    """What allows it, if it had to be asked for."""
    superseded: UUID | None = None
    """An approval that nobody needs to decide any more."""


class Wait(msgspec.Struct, frozen=True):
    approval_id: UUID


class Request(msgspec.Struct, frozen=True):
    """A person has to be asked."""

    reason: str


class Stop(msgspec.Struct, frozen=True):
    """The call is not made."""

    status: CallStatus
    code: str
    detail: str
    skips_rest: bool = False
    """Whether the calls after it are not made either."""


Passage = Go | Wait | Request | Stop

_ALTERED = Stop(
    CallStatus.FAILED, "approval_altered", "These are not the arguments that were approved. Nothing was done."
)
_OUTDATED = Stop(
    CallStatus.FAILED, "approval_outdated", "The call would do something else now than when it was approved."
)


def passage(
    entry: JournalEntry, prepared: Prepared, run: Run, approval: Approval | None, grants: Sequence[Grant]
) -> Passage:
    """Decide about one call.

    An approval lets through exactly what was shown: its digest has to be that of what would run, and the call must not
    reach further, change more, nor be of a higher risk, than it was then. That a person wants a call to be tried again
    allows nothing more.
    """
    if approval is not None and approval.digest != digest_of(entry, prepared, run):
        return _ALTERED
    if approval is not None and approval.status is ApprovalStatus.DENIED:
        said = f" They say: {approval.comment}" if approval.comment else ""
        return Stop(CallStatus.DENIED, "denied", f"A person has denied this call.{said}", skips_rest=True)
    match prepared.ruling:
        case Deny(code=code, detail=detail):
            return Stop(CallStatus.DENIED, code, detail)
        case Allow():
            return Go(entry.approval_id, _unneeded(approval))
        case Ask(reason=reason):
            return _asked(entry, prepared, approval, grants, reason)


def reach_of(assessment: Assessment) -> str:
    """What an approval of a call, or a grant that it gives, is limited to: its scope, and a command to the letter. What
    one command was allowed for a conversation says nothing about another.
    """
    return "\n".join(part for part in (assessment.scope, assessment.command) if part)


def digest_of(entry: JournalEntry, prepared: Prepared, run: Run) -> str:
    """What an approval of this call is bound to."""
    return call_digest(
        tenant_id=run.tenant_id,
        run_id=run.id,
        call_id=entry.call_id,
        tool=entry.name,
        version=prepared.tool.version,
        args=entry.args,
    )


def _asked(
    entry: JournalEntry, prepared: Prepared, approval: Approval | None, grants: Sequence[Grant], reason: str
) -> Passage:
    if approval is not None and approval.status is ApprovalStatus.GRANTED:
        return Go(approval.id) if _covers(approval, prepared) else _OUTDATED
    if grant := _grant_for(entry, prepared, grants):
        return Go(grant.approval_id, _unneeded(approval))
    if approval is None or approval.status is ApprovalStatus.SUPERSEDED:
        return Request(reason)
    return Wait(approval.id)


def _covers(approval: Approval, prepared: Prepared) -> bool:
    now = prepared.assessment
    is_no_more = now.effect.severity <= approval.effect.severity and now.risk.severity <= approval.risk.severity
    return reach_of(now) == approval.scope and is_no_more


def _grant_for(entry: JournalEntry, prepared: Prepared, grants: Sequence[Grant]) -> Grant | None:
    now = prepared.assessment
    if now.needs_password or not may_be_granted_for_conversation(now.risk):
        return None
    version, scope = prepared.tool.version, reach_of(now)
    for grant in grants:
        if grant.covers(tool=entry.name, version=version, effect=now.effect, risk=now.risk, scope=scope):
            return grant
    return None


def _unneeded(approval: Approval | None) -> UUID | None:
    """A question that has answered itself."""
    return approval.id if approval is not None and approval.status is ApprovalStatus.PENDING else None
