"""What only the operator may ask: the tenants themselves, and whose an object is. A deleted tenant is not there, nor is
anything of it.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.executor import Executor
from retinue.db.repositories.across import AcrossTenants
from retinue.db.repositories.base import found, is_there
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
        row = await self._executor.row(_tenants().where(t.Tenant.id == tenant_id))
        return None if row is None else _tenant(row)

    async def get(self, tenant_id: UUID) -> Tenant:
        """Raises: NotFound."""
        return found(await self.find(tenant_id), "tenant")

    async def get_for_update(self, tenant_id: UUID) -> Tenant:
        """Read what this transaction is about to change; another one that wants the same waits.

        Raises:
            NotFound.
        """
        statement = _tenants().where(t.Tenant.id == tenant_id).with_for_update(key_share=True)
        return _tenant(found(await self._executor.row(statement), "tenant"))

    async def find_by_slug(self, slug: str) -> Tenant | None:
        row = await self._executor.row(_tenants().where(t.Tenant.slug == slug))
        return None if row is None else _tenant(row)

    async def list(self, *, limit: int, after: UUID | None = None) -> Sequence[Tenant]:
        """Oldest first, those after the one with the id `after`, which itself need not exist any more."""
        statement = _tenants().order_by(t.Tenant.id).limit(limit)
        if after is not None:
            statement = statement.where(t.Tenant.id > after)
        return [_tenant(row) for row in await self._executor.rows(statement)]

    async def update(self, tenant: Tenant) -> None:
        """Write name, slug and `updated_at`.

        Raises:
            Conflict: code `slug_taken`.
            NotFound: the tenant is not there any more.
        """
        statement = sa.update(t.Tenant).where(t.Tenant.id == tenant.id, is_there(t.Tenant.id))
        changed = await self._executor.change(
            statement.values(name=tenant.name, slug=tenant.slug, updated_at=tenant.updated_at)
        )
        found(changed or None, "tenant")

    async def delete(self, tenant_id: UUID) -> None:
        """From now on the tenant does not exist, and its slug is free. What it owned is removed later, by whoever takes
        up its erasure.

        Raises:
            NotFound: it is not there, or not any more.
        """
        await self.get_for_update(tenant_id)
        at = await self._executor.clock()
        # No slug has a colon.
        nameless = {"name": "", "slug": f":{tenant_id}", "updated_at": at}
        await self._executor.change(sa.update(t.Tenant).where(t.Tenant.id == tenant_id), nameless)
        erasure = {"tenant_id": tenant_id, "asked_at": at, "removed": {}}
        insert = self._executor.dialect.insert(t.Erasure).on_conflict_do_nothing()
        found(await self._executor.change(insert, erasure) or None, "tenant")
        await self._forget_answers(tenant_id)

    async def _forget_answers(self, tenant_id: UUID) -> None:
        """The operator's own requests are kept under nobody's id, and the answer to one of them was this tenant."""
        record = t.IdempotencyRecord
        kept = sa.select(record.route, record.key, record.answer).where(
            record.tenant_id == UUID(int=0), record.answer.is_not(None)
        )
        for row in await self._executor.rows(kept):
            if str(tenant_id).encode() in row.answer:
                same = (record.tenant_id == UUID(int=0), record.route == row.route, record.key == row.key)
                await self._executor.change(sa.delete(record).where(*same))


class Locators(AcrossTenants):
    """From an id to its tenant."""

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
        statement = sa.select(table.tenant_id).where(is_wanted, is_there(table.tenant_id))
        tenant_id: UUID | None = await self._executor.scalar(statement)
        return found(tenant_id, what)


def _tenants() -> sa.Select[Any]:
    return sa.select(t.Tenant).where(is_there(t.Tenant.id))


def _tenant(row: sa.Row[Any]) -> Tenant:
    return Tenant(**{name: getattr(row, name) for name in _FIELDS})
