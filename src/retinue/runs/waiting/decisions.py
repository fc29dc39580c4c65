"""What people decide about the calls of a run that waits."""

from collections.abc import Sequence
from uuid import UUID

from retinue.db.session import Database, Unit
from retinue.domain.approvals import Approval, ApprovalStatus, Decision, Grant, call_digest
from retinue.domain.errors import Conflict
from retinue.domain.ids import new_id, now
from retinue.domain.runs import Run, RunStatus, WaitingFor
from retinue.domain.tools import CallStatus
from retinue.runs.calls.gate import may_be_granted_for_conversation
from retinue.runs.waiting.tickets import UNNAMED, Ticket

_STATUS = {
    Decision.ALLOW_ONCE: ApprovalStatus.GRANTED,
    Decision.ALLOW_FOR_CONVERSATION: ApprovalStatus.GRANTED,
    Decision.DENY: ApprovalStatus.DENIED,
}


class TooLate(Exception):
    """The approval's time is over."""


class Decisions:
    """A decision is a compare-and-set on the approval's row: of any number at the same time one takes place."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def decide(
        self,
        tenant_id: UUID,
        approval_id: UUID,
        decision: Decision,
        *,
        decided_by: str,
        comment: str | None,
        ticket: Ticket = UNNAMED,
    ) -> tuple[Approval, Run | None]:
        """Decide, and let the run go on if this is what it waits for first. Returns that run, which has no process yet.

        Raises:
            NotFound: no such approval.
            Conflict: `approval_decided`, `approval_expired`, `approval_superseded`, `approval_altered` or
                `approval_once_only`.
            TooLate: the time is over, and nobody has written it down yet.
            AnsweredBefore: of the ticket.
        """
        async with self._database.unit(tenant_id) as unit:
            await unit.approvals.get(approval_id)  # what was deleted is not told again
            await ticket.begin(unit)
            approval = await unit.approvals.get_for_update(approval_id)
            refuse_unless_pending(approval)
            _refuse_if_altered(approval)
            if decision is Decision.ALLOW_FOR_CONVERSATION and not may_be_granted_for_conversation(approval.risk):
                detail = "A call of this risk can only be allowed once."
                raise Conflict(detail, code="approval_once_only")
            decided = await unit.approvals.decide(
                approval_id, status=_STATUS[decision], decision=decision, decided_by=decided_by, comment=comment
            )
            if decided is None:
                raise TooLate
            if decision is Decision.ALLOW_FOR_CONVERSATION:
                await unit.grants.add(_grant(decided, decided_by))
            if decided.status is ApprovalStatus.GRANTED:
                await unit.tool_calls.change(
                    decided.run_id,
                    decided.call_position,
                    to=CallStatus.APPROVED,
                    from_=(CallStatus.PROPOSED,),
                    approval_id=decided.id,
                )
            await _audit(unit, decided)
            woken = await self._wake(unit, decided)
            await ticket.end(unit, decided)
            return decided, woken

    async def _wake(self, unit: Unit, decided: Approval) -> Run | None:
        run = await unit.runs.find(decided.run_id)
        if run is None or run.status is not RunStatus.WAITING or run.waiting_for is not WaitingFor.APPROVAL:
            return None
        if _first_undecided_before(await unit.approvals.of_run(run.id), decided):
            return None
        return run if await unit.runs.wake(run.id, run.attempt) else None


def refuse_unless_pending(approval: Approval) -> None:
    """Raises: Conflict: `approval_decided`, `approval_expired` or `approval_superseded`."""
    match approval.status:
        case ApprovalStatus.PENDING:
            return
        case ApprovalStatus.EXPIRED:
            raise expired()
        case ApprovalStatus.SUPERSEDED:
            detail = "Nobody needs to decide this any more: the run went another way."
            raise Conflict(detail, code="approval_superseded")
        case ApprovalStatus.GRANTED | ApprovalStatus.DENIED:
            raise Conflict(f"This was decided before: {approval.decision}.", code="approval_decided")


def expired() -> Conflict:
    return Conflict("The time in which this could be decided is over.", code="approval_expired")


def _first_undecided_before(approvals: Sequence[Approval], decided: Approval) -> bool:
    return any(
        approval.status is ApprovalStatus.PENDING and approval.call_position < decided.call_position
        for approval in approvals
    )


def _refuse_if_altered(approval: Approval) -> None:
    digest = call_digest(
        tenant_id=approval.tenant_id,
        run_id=approval.run_id,
        call_id=approval.tool_call_id,
        tool=approval.tool,
        version=approval.tool_version,
        args=approval.args,
    )
    if digest != approval.digest:
        detail = "What is stored is not what was asked for. It cannot be decided; cancel the run."
        raise Conflict(detail, code="approval_altered")


def _grant(approval: Approval, granted_by: str) -> Grant:
    return Grant(
        id=new_id(),
        tenant_id=approval.tenant_id,
        conversation_id=approval.conversation_id,
        approval_id=approval.id,
        tool=approval.tool,
        tool_version=approval.tool_version,
        effect=approval.effect,
        risk=approval.risk,
        scope=approval.scope,
        granted_by=granted_by,
        created_at=now(),
    )


async def _audit(unit: Unit, approval: Approval) -> None:
    await unit.audit.record(
        "approval.decided",
        object_type="approval",
        object_id=str(approval.id),
        payload={
            "run_id": str(approval.run_id),
            "tool": approval.tool,
            "decision": str(approval.decision),
            "decided_by": approval.decided_by,
            "digest": approval.digest,
        },
    )
