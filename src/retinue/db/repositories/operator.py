"""What only the operator may ask: the tenants themselves, and whose an object is."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.executor import Executor
from retinue.db.repositories.base import found
from retinue.domain.runs import ACTIVE_STATUSES, CallOutcome
from retinue.domain.tenants import Tenant

_FIELDS = Tenant.__struct_fields__


class TenantsRepository:
    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def add(self, tenant: Tenant) -> None:
        """Raises: Conflict, code `slug_taken`."""
        columns = {name: getattr(tenant, name) for name in _FIELDS}
        await self._executor.change(sa.insert(t.Tenant).values(columns))

    async def find(self, tenant_id: UUID) -> Tenant | None:
        row = await self._executor.row(sa.select(t.Tenant).where(t.Tenant.id == tenant_id))
        return None if row is None else _tenant(row)

    async def get(self, tenant_id: UUID) -> Tenant:
        """Raises: NotFound."""
        return found(await self.find(tenant_id), "tenant")

    async def get_for_update(self, tenant_id: UUID) -> Tenant:
        """Read what this transaction is about to change; another one that wants the same waits.

        Raises:
            NotFound.
        """
        statement = sa.select(t.Tenant).where(t.Tenant.id == tenant_id).with_for_update(key_share=True)
        return _tenant(found(await self._executor.row(statement), "tenant"))

    async def find_by_slug(self, slug: str) -> Tenant | None:
        row = await self._executor.row(sa.select(t.Tenant).where(t.Tenant.slug == slug))
        return None if row is None else _tenant(row)

    async def list(self, *, limit: int, after: UUID | None = None) -> Sequence[Tenant]:
        """Oldest first, those after the one with the id `after`, which itself need not exist any more."""
        statement = sa.select(t.Tenant).order_by(t.Tenant.id).limit(limit)
        if after is not None:
            statement = statement.where(t.Tenant.id > after)
        return [_tenant(row) for row in await self._executor.rows(statement)]

    async def update(self, tenant: Tenant) -> None:
        """Write name, slug and `updated_at`.

        Raises:
            Conflict: code `slug_taken`.
            NotFound: the tenant is not there any more.
        """
        statement = sa.update(t.Tenant).where(t.Tenant.id == tenant.id)
        changed = await self._executor.change(
            statement.values(name=tenant.name, slug=tenant.slug, updated_at=tenant.updated_at)
        )
        found(changed or None, "tenant")

    async def delete(self, tenant_id: UUID) -> None:
        """Remove the tenant and everything that is its.

        Raises:
            NotFound: it is not there, or not any more.
        """
        # Conversations first: their cascade clears what would else be searched once for every employee.
        await self._executor.change(sa.delete(t.Conversation).where(t.Conversation.tenant_id == tenant_id))
        statement = sa.delete(t.Tenant).where(t.Tenant.id == tenant_id)
        found(await self._executor.change(statement) or None, "tenant")


class Locators:
    """From an id to its tenant, and work on the runs of all tenants."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def tenant_of_conversation(self, conversation_id: UUID) -> UUID:
        """Raises: NotFound."""
        return await self._tenant_of(t.Conversation, t.Conversation.id == conversation_id, "conversation")

    async def tenant_of_employee(self, employee_id: UUID) -> UUID:
        """Raises: NotFound, also for a deleted employee."""
        is_wanted = (t.Employee.id == employee_id) & t.Employee.deleted_at.is_(None)
        return await self._tenant_of(t.Employee, is_wanted, "employee")

    async def tenant_of_run(self, run_id: UUID) -> UUID:
        """Raises: NotFound."""
        return await self._tenant_of(t.Run, t.Run.id == run_id, "run")

    async def renew_leases(self, owner: str, run_ids: Collection[UUID], lease_seconds: float) -> frozenset[UUID]:
        """Extend the owner's leases of these runs on the database's clock. A run that is not in the answer is lost.

        Only those that really run are named: a lease whose run was given up must be able to expire.
        """
        if not run_ids:
            return frozenset()
        statement = (
            sa.update(t.Run)
            .where(t.Run.id.in_(run_ids), t.Run.owner == owner, t.Run.status.in_(ACTIVE_STATUSES))
            .values(lease_expires_at=self._executor.dialect.clock_after(lease_seconds))
            .returning(t.Run.id)
        )
        return frozenset(row.id for row in await self._executor.rows(statement))

    async def active_runs_with_expired_lease(self, limit: int) -> Sequence[tuple[UUID, UUID]]:
        """Pairs of tenant and run, those that have waited longest first."""
        statement = (
            sa.select(t.Run.tenant_id, t.Run.id)
            .where(t.Run.status.in_(ACTIVE_STATUSES), t.Run.lease_expires_at < self._executor.dialect.clock())
            .order_by(t.Run.lease_expires_at)
            .limit(limit)
        )
        return [(row.tenant_id, row.id) for row in await self._executor.rows(statement)]

    async def close_orphaned_calls(self, older_than_seconds: float, *, error_code: str) -> int:
        """Close open ledger rows whose run is not active any more, or not there; usage stays unknown.

        Rows of the last seconds are left alone: a run that was just deleted closes its own.
        """
        clock = self._executor.dialect.clock_after
        is_active = sa.exists().where(
            t.Run.tenant_id == t.LedgerEntry.tenant_id,
            t.Run.id == t.LedgerEntry.run_id,
            t.Run.status.in_(ACTIVE_STATUSES),
        )
        statement = sa.update(t.LedgerEntry).where(
            t.LedgerEntry.outcome == CallOutcome.OPEN,
            t.LedgerEntry.opened_at < clock(-older_than_seconds),
            ~is_active,
        )
        return await self._executor.change(
            statement.values(outcome=CallOutcome.ABORTED, error_code=error_code, closed_at=clock(0.0))
        )

    async def _tenant_of(self, table: type[t.Owned], is_wanted: sa.ColumnElement[bool], what: str) -> UUID:
        tenant_id: UUID | None = await self._executor.scalar(sa.select(table.tenant_id).where(is_wanted))
        return found(tenant_id, what)


def _tenant(row: sa.Row[Any]) -> Tenant:
    return Tenant(**{name: getattr(row, name) for name in _FIELDS})
