"""What repositories of one tenant share: no statement begins without the tenant."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.dialects.base import Insert
from retinue.db.executor import Executor
from retinue.domain.errors import InternalError, NotFound

V = TypeVar("V")
Refinement = Callable[[Insert], Insert]


class TenantRepository:
    """Subclasses build statements from `_select`, `_update`, `_delete` and `_add` only; a test sees to it."""

    def __init__(self, tenant_id: UUID, executor: Executor) -> None:
        self._tenant_id = tenant_id
        self._executor = executor
        self._dialect = executor.dialect

    def _select(self, table: type[t.Owned], *columns: Any) -> sa.Select[Any]:
        return sa.select(*(columns or (table,))).where(table.tenant_id == self._tenant_id)

    def _update(self, table: type[t.Owned]) -> sa.Update:
        return sa.update(table).where(table.tenant_id == self._tenant_id)

    def _delete(self, table: type[t.Owned]) -> sa.Delete:
        return sa.delete(table).where(table.tenant_id == self._tenant_id)

    async def _add(
        self, table: type[t.Base], *rows: dict[str, Any], missing: str = "", refine: Refinement | None = None
    ) -> int:
        """Insert rows of this tenant; returns how many were stored. `refine` may say what to do about conflicts.

        The values travel beside the statement, not in it: SQLAlchemy then has much less to look at per call.

        Raises:
            InternalError: a row says that it is another tenant's.
            Conflict, NotFound: see `Executor.change`.
        """
        for row in rows:
            if row.setdefault("tenant_id", self._tenant_id) != self._tenant_id:
                raise InternalError("A row of another tenant was about to be stored.")
        insert = self._dialect.insert(table)
        return await self._executor.change(refine(insert) if refine else insert, list(rows), missing=missing)

    async def _lock_tenant(self) -> None:
        """Let no other transaction pass here for this tenant until this one ends. SQLite, where writers are serial,
        compiles the lock away.

        Raises:
            NotFound: there is no such tenant.
        """
        statement = sa.select(t.Tenant.id).where(t.Tenant.id == self._tenant_id)
        # FOR NO KEY UPDATE: rows that refer to the tenant may be added meanwhile.
        found(await self._executor.row(statement.with_for_update(key_share=True)), "tenant")

    def _insert_from(self, table: type[t.Base], names: Sequence[str], source: sa.Select[Any]) -> Insert:
        """An insert of what a statement of `_select` finds; `tenant_id` must be among the names."""
        return self._dialect.insert(table).from_select(list(names), source)


def found(value: V | None, what: str) -> V:
    """The value itself.

    Raises:
        NotFound: there is none.
    """
    if value is None:
        raise NotFound(f"There is no such {what}.")
    return value
