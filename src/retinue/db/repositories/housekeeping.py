"""Work on the runs and records of all tenants at once, except those that were deleted."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.prepared import Asked, prepared
from retinue.db.repositories.across import AcrossTenants
from retinue.db.repositories.base import is_there
from retinue.db.repositories.conditions import OTHER_RUN, has_started, is_at_work, is_pending
from retinue.db.repositories.fullness import is_full
from retinue.domain.limits import NO_BOUNDS, Limits
from retinue.domain.runs import ACTIVE_STATUSES, CallOutcome, RunStatus, WaitingFor


class Housekeeping(AcrossTenants):
    async def renew_leases(self, owner: str, run_ids: Collection[UUID], lease_seconds: float) -> frozenset[UUID]:
        """Extend the owner's leases of these runs on the database's clock. A run that is not in the answer is lost.

        Only those that really run are named: a lease whose run was given up must be able to expire.
        """
        if not run_ids:
            return frozenset()
        statement = (
            sa.update(t.Run)
            .where(
                t.Run.id.in_(run_ids),
                t.Run.owner == owner,
                t.Run.status.in_(ACTIVE_STATUSES),
                is_there(t.Run.tenant_id),
            )
            .values(lease_expires_at=self._executor.dialect.clock_after(lease_seconds))
            .returning(t.Run.id)
        )
        return frozenset(row.id for row in await self._executor.rows(statement))

    async def expire_leases_of_others(self, owner: str) -> int:
        """End the leases that other processes had. Only for one that knows that no other lives. Returns how many."""
        is_held = (t.Run.status == RunStatus.RUNNING) & (t.Run.owner != owner)
        expired = sa.update(t.Run).where(is_held).values(lease_expires_at=self._executor.dialect.clock())
        return await self._executor.change(expired)

    async def cancel_requests(self, run_ids: Collection[UUID]) -> frozenset[UUID]:
        """Those of these runs that somebody asked to cancel, or whose tenant was deleted, and that have not ended."""
        if not run_ids:
            return frozenset()
        statement = sa.select(t.Run.id).where(
            t.Run.id.in_(run_ids),
            t.Run.cancel_requested_at.is_not(None) | ~is_there(t.Run.tenant_id),
            t.Run.status.in_(ACTIVE_STATUSES),
        )
        return frozenset(row.id for row in await self._executor.rows(statement))

    async def active_runs_with_expired_lease(
        self, limit: int, defaults: Limits = NO_BOUNDS
    ) -> Sequence[tuple[UUID, UUID]]:
        """Pairs of tenant and run, by turns of the tenants, those that have waited longest first. Runs that wait for
        somebody have no lease. Left out is what no bound on concurrent runs has room for, unless it is to be cancelled.
        """
        return await self._pairs(self._lost(limit, defaults=defaults))

    @prepared
    def _lost(self, limit: int, *, defaults: Limits) -> Any:
        clock = self._dialect.clock()
        can_go_on = t.Run.cancel_requested_at.is_not(None) | ~is_full(defaults, held_at=clock)
        lost = sa.select(t.Run.tenant_id, t.Run.id, t.Run.lease_expires_at.label("since")).where(
            t.Run.status == RunStatus.RUNNING, t.Run.lease_expires_at <= clock, is_there(t.Run.tenant_id), can_go_on
        )
        return _by_turns(lost, limit)

    async def expired_waits(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        """Pairs of tenant and run, those that wait for an approval or a password that did not come in time."""
        return await self._pairs(self._too_late(limit))

    @prepared
    def _too_late(self, limit: int) -> Any:
        clock = self._dialect.search_clock_after(0.0)
        undecided = _waits(WaitingFor.APPROVAL).where(is_pending(), t.Approval.expires_at <= clock)
        locked = _waits(WaitingFor.PASSWORD).where(t.Approval.password_expires_at <= clock)
        # Two searches, because an index can be used for each of them, and none for both.
        return sa.union(undecided, locked).limit(limit)

    async def count_pending_approvals(self) -> int:
        """Approvals that nobody has decided yet."""
        pending = sa.select(sa.func.count().label("pending")).where(is_pending(), is_there(t.Approval.tenant_id))
        counted = await self._executor.row(pending)
        return 0 if counted is None else int(counted.pending)

    async def startable_conversations(self, limit: int, defaults: Limits = NO_BOUNDS) -> Sequence[tuple[UUID, UUID]]:
        """Pairs of tenant and conversation where a run waits to start, none has, the employee has time for it, and no
        bound on concurrent runs is reached; by turns of the tenants, longest waiting first.

        Args:
            defaults: bounds for tenants that have none of their own.
        """
        return await self._pairs(self._startable(limit, defaults=defaults))

    @prepared
    def _startable(self, limit: int, *, defaults: Limits) -> Any:
        at_work = (
            sa.select(sa.func.count())
            .where(
                OTHER_RUN.tenant_id == t.Employee.tenant_id,
                OTHER_RUN.employee_id == t.Employee.id,
                is_at_work(OTHER_RUN),
            )
            .scalar_subquery()
        )
        is_overworked = sa.exists().where(
            t.Employee.tenant_id == t.Run.tenant_id,
            t.Employee.id == t.Run.employee_id,
            t.Employee.max_concurrent_tasks <= at_work,
        )
        is_busy = sa.exists().where(
            OTHER_RUN.tenant_id == t.Run.tenant_id,
            OTHER_RUN.conversation_id == t.Run.conversation_id,
            has_started(OTHER_RUN),
        )
        is_startable = (
            t.Run.status == RunStatus.QUEUED,
            ~is_busy,
            ~is_overworked,
            ~is_full(defaults),
            is_there(t.Run.tenant_id),
        )
        startable = (
            sa.select(t.Run.tenant_id, t.Run.conversation_id, sa.func.min(t.Run.created_at).label("since"))
            .where(*is_startable)
            .group_by(t.Run.tenant_id, t.Run.conversation_id)
        )
        return _by_turns(startable, limit)

    async def prunable_runs(self, older_than_seconds: float, limit: int) -> Sequence[tuple[UUID, UUID]]:
        """Pairs of tenant and run that ended longer ago than that and still have their log; oldest first."""
        return await self._pairs(
            sa.select(t.Run.tenant_id, t.Run.id)
            .where(
                t.Run.pruned_at.is_(None),
                t.Run.finished_at < self._executor.dialect.clock_after(-older_than_seconds),
                is_there(t.Run.tenant_id),
            )
            .order_by(t.Run.finished_at)
            .limit(limit)
        )

    async def delete_expired_idempotency(self, limit: int) -> int:
        """Delete records whose time is over, at most so many; returns how many. Those in use are left for later."""
        record = t.IdempotencyRecord
        key = sa.tuple_(record.tenant_id, record.route, record.key)
        expired = (
            sa.select(record.tenant_id, record.route, record.key)
            .where(record.expires_at <= self._executor.dialect.clock())
            .order_by(record.expires_at)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        return await self._executor.change(sa.delete(record).where(key.in_(expired)))

    async def orphaned_calls(self, older_than_seconds: float, limit: int) -> Sequence[tuple[UUID, UUID]]:
        """Pairs of tenant and open call whose run is not active any more, or not there; oldest first.

        Those of the last seconds are left alone: a run that was just deleted closes its own.
        """
        is_active = sa.exists().where(
            t.Run.tenant_id == t.LedgerEntry.tenant_id,
            t.Run.id == t.LedgerEntry.run_id,
            t.Run.status.in_(ACTIVE_STATUSES),
        )
        statement = sa.select(t.LedgerEntry.tenant_id, t.LedgerEntry.id).where(
            t.LedgerEntry.outcome == sa.literal_column(f"'{CallOutcome.OPEN}'"),
            t.LedgerEntry.opened_at < self._executor.dialect.search_clock_after(-older_than_seconds),
            ~is_active,
            is_there(t.LedgerEntry.tenant_id),
        )
        return await self._pairs(statement.order_by(t.LedgerEntry.opened_at).limit(limit))

    async def _pairs(self, statement: sa.Select[*tuple[Any, ...]] | Asked) -> Sequence[tuple[UUID, UUID]]:
        return [tuple(row) for row in await self._executor.rows(statement)]


def _by_turns(found: sa.Select[*tuple[Any, ...]], limit: int) -> Any:
    """First the longest waiting of each tenant, then the second of each, and so on. The columns are the tenant, the
    object and `since`.
    """
    waiting = found.subquery()
    tenant_id, subject, since = waiting.c
    turn = sa.func.row_number().over(partition_by=tenant_id, order_by=since)
    return sa.select(tenant_id, subject).order_by(turn, since).limit(limit)


def _waits(what: WaitingFor) -> sa.Select[UUID, UUID]:
    """Approvals of runs that wait for this."""
    is_waiting = sa.exists().where(
        t.Run.tenant_id == t.Approval.tenant_id,
        t.Run.id == t.Approval.run_id,
        t.Run.status == RunStatus.WAITING,
        t.Run.waiting_for == what,
    )
    return sa.select(t.Approval.tenant_id, t.Approval.run_id).where(is_waiting, is_there(t.Approval.tenant_id))
