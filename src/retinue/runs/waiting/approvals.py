"""What the edge asks about runs that wait for a person."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from retinue.db.session import Database, Unit
from retinue.domain.access import WHOLE, Sight
from retinue.domain.approvals import Approval, ApprovalStatus, Decision
from retinue.domain.errors import Conflict, NotFound
from retinue.domain.ids import Position
from retinue.domain.runs import Run, RunStatus, WaitingFor
from retinue.domain.secret import Secret
from retinue.domain.tools import CallStatus, JournalEntry, Resolution
from retinue.runs.calls.results import fit_result
from retinue.runs.dispatcher import Dispatcher
from retinue.runs.errands import Errands
from retinue.runs.waiting.decisions import Decisions, TooLate, expired, refuse_unless_pending
from retinue.runs.waiting.expiry import Expiry
from retinue.runs.waiting.tickets import UNNAMED, Ticket
from retinue.runs.waiting.waking import Wake


class Approvals:
    """Reads and decides approvals, takes passwords, settles doubts; and lets the runs go on."""

    def __init__(
        self,
        *,
        database: Database,
        dispatcher: Dispatcher,
        expiry: Expiry,
        errands: Errands,
        result_chars: int,
    ) -> None:
        self._database = database
        self._decisions = Decisions(database)
        self._dispatcher = dispatcher
        self._expiry = expiry
        self._errands = errands
        self._result_chars = result_chars

    async def pending(
        self, tenant_id: UUID, *, limit: int, after: UUID | None = None, sight: Sight = WHOLE
    ) -> Sequence[Approval]:
        """What waits for a decision, oldest first."""
        async with self._database.unit(tenant_id, read_only=True) as unit:
            return await unit.approvals.list_pending(limit=limit, after=after, sight=sight)

    async def get(self, tenant_id: UUID, approval_id: UUID) -> Approval:
        """Raises: NotFound."""
        async with self._database.unit(tenant_id, read_only=True) as unit:
            return await unit.approvals.get(approval_id)

    async def decide(
        self,
        tenant_id: UUID,
        approval_id: UUID,
        decision: Decision,
        *,
        decided_by: str,
        comment: str | None = None,
        ticket: Ticket = UNNAMED,
    ) -> Approval:
        """Decide once. The run goes on at the call, here or in another process, as soon as nothing before it has to be
        decided.

        Raises:
            NotFound: no such approval.
            Conflict: `approval_decided`, `approval_expired`, `approval_superseded`, `approval_altered` or
                `approval_once_only`.
            AnsweredBefore: of the ticket.
        """
        try:
            decided, run = await self._decisions.decide(
                tenant_id, approval_id, decision, decided_by=decided_by, comment=comment, ticket=ticket
            )
        except TooLate:
            late = await self.get(tenant_id, approval_id)
            raise await self._too_late(late) from None
        if run is not None:
            self._go_on(run)
        return decided

    async def continue_run(self, tenant_id: UUID, run_id: UUID, approval_id: UUID) -> Position:
        """The position behind which everything stands that came of a decision.

        Raises:
            NotFound: no such approval of this run.
            Conflict: `approval_pending`, `approval_expired` or `approval_superseded`.
        """
        approval = await self._of_run(tenant_id, run_id, approval_id)
        if approval.status is ApprovalStatus.PENDING:
            async with self._database.unit(tenant_id, read_only=True) as unit:
                is_late = await unit.approvals.is_late(approval.id)
            if is_late:
                raise await self._too_late(approval)
            raise Conflict("Nobody has decided about this call yet.", code="approval_pending")
        if approval.status is not ApprovalStatus.GRANTED and approval.status is not ApprovalStatus.DENIED:
            refuse_unless_pending(approval)
        return pause_of(approval)

    async def give_password(
        self, tenant_id: UUID, run_id: UUID, approval_id: UUID, password: Secret, *, ticket: Ticket = UNNAMED
    ) -> Position:
        """Let a run go on with a password, in this process. It is kept in memory for one call and nowhere else.

        Returns the position behind which everything stands that comes of it.

        Raises:
            NotFound: no such approval of this run.
            Conflict: `password_not_awaited` or `approval_expired`.
            Unavailable: there is no room for the run here.
            AnsweredBefore: of the ticket, which gets the approval.
        """
        approval = await self._of_run(tenant_id, run_id, approval_id)
        wake = _PasswordWake(approval, password, ticket)
        if not await self._dispatcher.wake(tenant_id, run_id, wake):
            raise _not_awaited()
        return pause_of(approval)

    async def resolve_effect(
        self,
        tenant_id: UUID,
        run_id: UUID,
        tool_call_id: str,
        resolution: Resolution,
        *,
        result: Any = None,
        resolved_by: str,
        ticket: Ticket = UNNAMED,
    ) -> Run:
        """Say what became of a call whose outcome nobody knows; the run goes on with that.

        Raises:
            NotFound: the run has no such call.
            Conflict: `effect_known`, or `run_ended`.
            AnsweredBefore: of the ticket.
        """
        async with self._database.unit(tenant_id) as unit:
            await unit.runs.get(run_id)  # what was deleted is not told again
            await ticket.begin(unit)
            run = await unit.runs.get(run_id)
            entry = await _call_of(unit, run, tool_call_id)
            if run.status is not RunStatus.WAITING and run.status is not RunStatus.RUNNING:
                raise Conflict(f"The run has ended already: it is {run.status}.", code="run_ended")
            fields = _resolved(resolution, fit_result(result, self._result_chars))
            is_doubtful = run.waiting_for is WaitingFor.EFFECT_UNKNOWN and await unit.tool_calls.change(
                run_id, entry.position, from_=(CallStatus.OUTCOME_UNKNOWN,), resolved_by=resolved_by, **fields
            )
            if not is_doubtful or not await unit.runs.wake(run.id, run.attempt):
                raise Conflict("What became of this call is known.", code="effect_known")
            await unit.audit.record(
                "effect.resolved",
                object_type="tool_call",
                object_id=entry.idempotency_key,
                payload={"run_id": str(run_id), "tool": entry.name, "resolution": resolution.value},
            )
            run = await unit.runs.get(run_id)
            await ticket.end(unit, run)
        self._go_on(run)
        return run

    async def _too_late(self, late: Approval) -> Conflict:
        """What the sweeper has not come to yet is written down now."""
        await self._expiry.expire(late.tenant_id, late.run_id)
        return expired()

    async def _of_run(self, tenant_id: UUID, run_id: UUID, approval_id: UUID) -> Approval:
        approval = await self.get(tenant_id, approval_id)
        if approval.run_id != run_id:
            raise NotFound("There is no such approval in this run.")
        return approval

    def _go_on(self, run: Run) -> None:
        self._errands.send(self._dispatcher.go_on(run.tenant_id, run.id), "go-on")


def pause_of(approval: Approval) -> Position:
    """Where the run paused before this call: behind it stands everything that comes of a decision."""
    return Position(approval.paused_attempt, approval.paused_seq)


class _PasswordWake(Wake):
    def __init__(self, approval: Approval, password: Secret, ticket: Ticket) -> None:
        self._approval = approval
        self._ticket = ticket
        self.passwords = {approval.tool_call_id: password}

    async def prepare(self, unit: Unit) -> Run:
        await self._ticket.begin(unit)
        run = await unit.runs.get(self._approval.run_id)
        if run.status is RunStatus.EXPIRED:
            raise expired()
        if run.status is not RunStatus.WAITING or run.waiting_for is not WaitingFor.PASSWORD:
            raise _not_awaited()
        # Compare-and-set: of several passwords at the same time one is tried.
        if not await unit.approvals.end_password(self._approval.id):
            current = await unit.approvals.get(self._approval.id)
            raise expired() if current.password_expires_at is not None else _not_awaited()
        await unit.audit.record(
            "secret.supplied",
            object_type="approval",
            object_id=str(self._approval.id),
            payload={"run_id": str(run.id), "tool": self._approval.tool},
        )
        await self._ticket.end(unit, self._approval)
        return run


def _not_awaited() -> Conflict:
    return Conflict("The run does not wait for a password for this call.", code="password_not_awaited")


async def _call_of(unit: Unit, run: Run, tool_call_id: str) -> JournalEntry:
    for entry in await unit.tool_calls.list(run.id):
        if entry.call_id == tool_call_id:
            return entry
    raise NotFound("The run has no such tool call.")


def _resolved(resolution: Resolution, result: Any) -> dict[str, Any]:
    match resolution:
        case Resolution.HAPPENED:
            return {"to": CallStatus.SUCCEEDED, "result": result}
        case Resolution.DID_NOT_HAPPEN:
            detail = "A person found out that it did not take place."
            return {"to": CallStatus.FAILED, "error": "did_not_happen", "detail": detail}
        case Resolution.RETRY:
            return {"to": CallStatus.APPROVED}
