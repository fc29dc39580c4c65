"""Ends runs for which nobody has decided in time."""

from collections.abc import Sequence
from uuid import UUID

import structlog

from retinue.coordination.base import Signals
from retinue.db.session import Database, Unit
from retinue.domain import events as e
from retinue.domain.approvals import Approval
from retinue.domain.audit import SYSTEM
from retinue.domain.runs import Run, RunStatus, WaitingFor
from retinue.domain.signals import Signal, SignalKind
from retinue.runs.endings import Expired
from retinue.runs.unrun import end_waiting

_log = structlog.get_logger(__name__)

BATCH = 100


class Expiry:
    """Any process may do this at any time: who writes it down is decided in the database, on its clock."""

    def __init__(self, database: Database, signals: Signals) -> None:
        self._database = database
        self._signals = signals

    async def sweep(self) -> int:
        """End every run whose wait is over. Returns how many were ended here.

        Raises:
            Unavailable, StorageFailed: of the database.
        """
        async with self._database.operator(read_only=True) as operator:
            late = await operator.expired_waits(BATCH)
        ended = 0
        for tenant_id, run_id in late:
            try:
                ended += await self.expire(tenant_id, run_id)
            except Exception:
                # It comes again with the next sweep, and must not be in the way of those behind it.
                _log.exception("wait_not_expired", run_id=str(run_id))
        return ended

    async def expire(self, tenant_id: UUID, run_id: UUID) -> bool:
        """End a run that waits, if its time is over: its approvals expire, whoever follows it is told, and it closes.

        False, and nothing is written, if somebody decided in time or was faster in writing this down.
        """
        async with self._database.unit(tenant_id) as unit:
            # The approvals before the run, as everywhere.
            await unit.approvals.lock(run_id)
            run = await unit.runs.find(run_id)
            if run is None or run.status is not RunStatus.WAITING:
                return False  # it works on another call, and may still come to this one
            waited_for, expired = run.waiting_for, await _expired(unit, run)
            if waited_for is None or expired is None:
                return False
            told = [_told(approval) for approval in expired]
            if not await end_waiting(unit, run, Expired(waited_for), before=told):
                return False
            await _audit(unit, run, waited_for)
        _log.info("wait_expired", run_id=str(run_id), waited_for=waited_for.value)
        self._signals.send(Signal(SignalKind.CONVERSATION, tenant_id, run.conversation_id))
        self._signals.send(Signal(SignalKind.ORPHAN, tenant_id, run_id))  # what waits behind it may start
        return True


async def _expired(unit: Unit, run: Run) -> Sequence[Approval] | None:
    """The approvals whose time is over; None if what the run waits for may still come. Doubts have no end."""
    match run.waiting_for:
        case WaitingFor.APPROVAL:
            return await unit.approvals.expire(run.id) or None
        case WaitingFor.PASSWORD:
            return () if await _password_is_late(unit, run) else None
        case _:
            return None


async def _password_is_late(unit: Unit, run: Run) -> bool:
    at = await unit.clock()
    return any(
        approval.password_expires_at is not None and approval.password_expires_at <= at
        for approval in await unit.approvals.of_run(run.id)
    )


def _told(approval: Approval) -> e.ApprovalExpired:
    minutes = round((approval.expires_at - approval.requested_at).total_seconds()) // 60
    return e.ApprovalExpired(
        approval_id=approval.id,
        tool_call_id=approval.tool_call_id,
        tool=approval.tool,
        message=f"The approval of {approval.tool} has expired: nobody decided within {minutes} minutes.",
    )


async def _audit(unit: Unit, run: Run, waited_for: WaitingFor) -> None:
    await unit.audit.record(
        f"{waited_for.value}.expired",
        object_type="run",
        object_id=str(run.id),
        payload={"run_id": str(run.id)},
        actor=SYSTEM,
    )
