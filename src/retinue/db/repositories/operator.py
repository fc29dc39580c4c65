"""What only the operator may ask: the tenants themselves, and whose an object is."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.executor import Executor
from retinue.db.repositories.base import found
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
        """Remove the tenant and everything that is its, except for its audit trail.

        Raises:
            NotFound: it is not there, or not any more.
        """
        # Conversations first: their cascade clears what would else be searched once for every employee.
        await self._executor.change(sa.delete(t.Conversation).where(t.Conversation.tenant_id == tenant_id))
        await self._executor.change(sa.delete(t.IdempotencyRecord).where(t.IdempotencyRecord.tenant_id == tenant_id))
        statement = sa.delete(t.Tenant).where(t.Tenant.id == tenant_id)
        found(await self._executor.change(statement) or None, "tenant")


class Locators:
    """From an id to its tenant."""

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

    async def tenant_of_approval(self, approval_id: UUID) -> UUID:
        """Raises: NotFound."""
        return await self._tenant_of(t.Approval, t.Approval.id == approval_id, "approval")

    async def _tenant_of(self, table: type[t.Owned], is_wanted: sa.ColumnElement[bool], what: str) -> UUID:
        tenant_id: UUID | None = await self._executor.scalar(sa.select(table.tenant_id).where(is_wanted))
        return found(tenant_id, what)


def _tenant(row: sa.Row[Any]) -> Tenant:
    return Tenant(**{name: getattr(row, name) for name in _FIELDS})
