"""Employees. Deleted ones keep their rows and are not found by anything here."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.prepared import prepared
from retinue.db.repositories.base import TenantRepository, found
from retinue.db.repositories.conditions import is_at_work
from retinue.domain.employees import Employee
from retinue.domain.ids import now
from retinue.domain.policy import Permission

_FIELDS = Employee.__struct_fields__
_UNCHANGING = {"id", "tenant_id", "created_at"}


class EmployeeRepository(TenantRepository):
    async def add(self, employee: Employee) -> None:
        """Store a new employee.

        Raises:
            Conflict: code `slug_taken`.
            NotFound: there is no such tenant.
        """
        await self._require_tenant()
        await self._add(t.Employee, _columns(employee), missing="There is no such tenant.")

    async def find(self, employee_id: UUID) -> Employee | None:
        row = await self._executor.row(self._with_id(employee_id))
        return None if row is None else employee_of(row)

    async def get(self, employee_id: UUID) -> Employee:
        """Raises: NotFound."""
        return found(await self.find(employee_id), "employee")

    async def get_for_update(self, employee_id: UUID) -> Employee:
        """Read what this transaction is about to change; another one that wants the same waits.

        Raises:
            NotFound.
        """
        statement = self._present().where(t.Employee.id == employee_id).with_for_update(key_share=True)
        return employee_of(found(await self._executor.row(statement), "employee"))

    async def get_by_slug(self, slug: str) -> Employee:
        """Raises: NotFound."""
        row = found(await self._executor.row(self._present().where(t.Employee.slug == slug)), "employee")
        return employee_of(row)

    async def list(
        self,
        *,
        limit: int,
        after: UUID | None = None,
        slug: str | None = None,
        role: str | None = None,
        permission: Permission | None = None,
    ) -> Sequence[Employee]:
        """Oldest first, those after the one with the id `after`, which itself need not exist any more."""
        statement = self._present().order_by(t.Employee.id).limit(limit)
        if after is not None:
            statement = statement.where(t.Employee.id > after)
        for column, wanted in ((t.Employee.slug, slug), (t.Employee.role, role), (t.Employee.permission, permission)):
            if wanted is not None:
                statement = statement.where(column == wanted)
        return [employee_of(row) for row in await self._executor.rows(statement)]

    async def update(self, employee: Employee) -> None:
        """Write every field that can change.

        Raises:
            Conflict: code `slug_taken`.
            NotFound: the employee is not there any more.
        """
        columns = {name: value for name, value in _columns(employee).items() if name not in _UNCHANGING}
        changed = await self._executor.change(self._update_present(employee.id), columns)
        found(changed or None, "employee")

    async def delete(self, employee_id: UUID, *, at: datetime | None = None) -> None:
        """Take the employee out of service; its slug is free again.

        Raises:
            NotFound: it is not there, or not any more.
        """
        changed = await self._executor.change(self._update_present(employee_id), {"deleted_at": at or now()})
        found(changed or None, "employee")

    async def lock_for_start(self, employee_id: UUID) -> None:
        """Let no other transaction pass here for this employee until this one ends, so that counting its active runs
        and adding one is one act. SQLite, where writers are serial, compiles the lock away.
        """
        statement = self._select(t.Employee, t.Employee.id).where(t.Employee.id == employee_id)
        # FOR NO KEY UPDATE: conversations and runs of the employee may be added meanwhile.
        await self._executor.row(statement.with_for_update(key_share=True))

    async def count_active_runs(self, employee_id: UUID) -> int:
        """Those that have started; a queued one, and one that waits for a person, occupies nobody."""
        statement = self._select(t.Run, sa.func.count()).where(t.Run.employee_id == employee_id, is_at_work())
        return int(await self._executor.scalar(statement))

    @prepared
    def _with_id(self, employee_id: UUID) -> sa.Select[Any]:
        return self._present().where(t.Employee.id == employee_id)

    def _present(self) -> sa.Select[Any]:
        return self._select(t.Employee).where(t.Employee.deleted_at.is_(None))

    def _update_present(self, employee_id: UUID) -> sa.Update:
        return self._update(t.Employee).where(t.Employee.id == employee_id, t.Employee.deleted_at.is_(None))


def _columns(employee: Employee) -> dict[str, Any]:
    return {name: getattr(employee, name) for name in _FIELDS}


def employee_of(row: sa.Row[Any]) -> Employee:
    return Employee(**{name: getattr(row, name) for name in _FIELDS})
