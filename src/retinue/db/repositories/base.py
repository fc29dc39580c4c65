"""What repositories of one tenant share: no statement begins without the tenant."""

from collections.abc import Callable, Sequence
from copy import copy
from functools import lru_cache
from typing import Any, TypeVar, overload
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.changes import Change, Outcome, R
from retinue.db.dialects.base import Insert
from retinue.db.executor import Executor
from retinue.db.prepared import TENANT, Asked, Prepared, prepared
from retinue.db.repositories.preparing import Preparing
from retinue.domain.errors import InternalError, NotFound

V = TypeVar("V")
Refinement = Callable[[Insert], Insert]


_ROWS_AT_ONCE = 4
"""For each number of rows a statement of its own is kept."""
_ALWAYS_THERE: frozenset[type[t.Owned]] = frozenset({*t.SURVIVORS, t.Erasure})


def _nothing(_: Outcome) -> None:
    pass


class TenantRepository(Preparing):
    """Subclasses build statements from `_select`, `_update`, `_delete` and `_add` only, or from `_insert` for `_store`;
    a test sees to it.

    What a deleted tenant owned is not there for them, from the moment of its deletion on.
    """

    def __init__(self, tenant_id: UUID, executor: Executor) -> None:
        super().__init__(executor)
        self._tenant_id = tenant_id

    @property
    def _asks_for(self) -> tuple[Any, ...]:
        return (self._tenant_id,)

    def _prepare(self, build: Callable[[Any], Any], parameters: Sequence[str]) -> Prepared:
        anybodys = copy(self)
        vars(anybodys)["_tenant_id"] = TENANT
        return Prepared(build(anybodys), self._executor.connection.dialect, [TENANT.key, *parameters])

    def _select(self, table: type[t.Owned], *columns: Any) -> sa.Select[Any]:
        return sa.select(*(columns or (table,))).where(self._is_own(table))

    def _update(self, table: type[t.Owned]) -> sa.Update:
        return sa.update(table).where(self._is_own(table))

    def _delete(self, table: type[t.Owned]) -> sa.Delete:
        return sa.delete(table).where(self._is_own(table))

    def _is_own(self, table: type[t.Owned]) -> sa.ColumnElement[bool]:
        is_own: sa.ColumnElement[bool] = table.tenant_id == self._tenant_id
        return is_own if table in _ALWAYS_THERE else is_own & _is_there(self._tenant_id)

    async def _add(
        self, table: type[t.Base], *rows: dict[str, Any], missing: str = "", refine: Refinement | None = None
    ) -> int:
        """Insert rows of this tenant; returns how many were stored. `refine` may say what to do about conflicts.

        Raises:
            InternalError: a row says that it is another tenant's.
            Conflict, NotFound: see `Executor.change`.
        """
        if refine is None and 0 < len(rows) <= _ROWS_AT_ONCE:
            return await self._store(self._inserted(table=table), *rows, missing=missing)
        insert = self._insert(table)
        return await self._store(refine(insert) if refine else insert, *rows, missing=missing)

    async def _store(self, insert: Insert | Asked, *rows: dict[str, Any], missing: str = "") -> int:
        """Carry out an insert with rows of this tenant. The values travel beside the statement, not in it.

        Raises:
            InternalError, Conflict, NotFound: as `_add`.
        """
        self._refuse_others(rows)
        return await self._executor.change(insert, list(rows), missing=missing)

    @overload
    def _storing(self, insert: Asked, *rows: dict[str, Any]) -> Change[None]: ...
    @overload
    def _storing(self, insert: Asked, *rows: dict[str, Any], tell: Callable[[Outcome], R]) -> Change[R]: ...
    def _storing(self, insert: Asked, *rows: dict[str, Any], tell: Callable[[Outcome], Any] = _nothing) -> Change[Any]:
        """The same, to be carried out together with other changes.

        Raises:
            InternalError: as `_add`.
        """
        self._refuse_others(rows)
        return Change(insert.setting(*rows), tell)

    def _refuse_others(self, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            if row.setdefault("tenant_id", self._tenant_id) != self._tenant_id:
                raise InternalError("A row of another tenant was about to be stored.")

    def _insert(self, table: type[t.Base]) -> Insert:
        """An insert for `_store`, which sees to the tenant."""
        return self._dialect.insert(table)

    @prepared
    def _inserted(self, *, table: type[t.Base]) -> Insert:
        return self._insert(table)

    async def _lock_tenant(self, *, alone: bool = False) -> None:
        """Let no other transaction pass here for this tenant until this one ends. SQLite, where writers are serial,
        compiles the lock away.

        Args:
            alone: not even rows that refer to the tenant may be added meanwhile.

        Raises:
            NotFound: there is no such tenant.
        """
        found(await self._executor.row(self._locked_tenant(alone=alone)), "tenant")

    @prepared
    def _locked_tenant(self, *, alone: bool) -> sa.Select[Any]:
        statement = sa.select(t.Tenant.id).where(t.Tenant.id == self._tenant_id, is_there(self._tenant_id))
        # FOR NO KEY UPDATE lets the keys of new rows through, FOR UPDATE does not.
        return statement.with_for_update(key_share=not alone)

    @prepared
    def _held_tenant(self) -> sa.Select[Any]:
        """Keep others from `_lock_tenant(alone=True)`, and nobody from anything else."""
        statement = sa.select(t.Tenant.id).where(t.Tenant.id == self._tenant_id, is_there(self._tenant_id))
        return statement.with_for_update(read=True, key_share=True)

    async def _require_tenant(self) -> None:
        """For what depends on nothing but the tenant. One that never was is found out by foreign keys.

        Raises:
            NotFound: the tenant was deleted.
        """
        if await self._executor.row(sa.select(t.Erasure.tenant_id).where(t.Erasure.tenant_id == self._tenant_id)):
            raise NotFound("There is no such tenant.")

    def _insert_from(self, table: type[t.Base], names: Sequence[str], source: sa.Select[Any]) -> Insert:
        """An insert of what a statement of `_select` finds; `tenant_id` must be among the names."""
        return self._dialect.insert(table).from_select(list(names), source)


def is_there(tenant_id: Any) -> sa.ColumnElement[bool]:
    """Whether nobody has deleted a tenant. `tenant_id` may be a column."""
    return ~sa.exists().where(t.Erasure.tenant_id == tenant_id)


_is_there = lru_cache(maxsize=1024)(is_there)
"""Every statement asks it, and building it takes longer than asking."""


def has_changed(outcome: Outcome) -> bool:
    """Whether a change of one row took place."""
    return outcome.touched == 1


def found(value: V | None, what: str) -> V:
    """The value itself.

    Raises:
        NotFound: there is none.
    """
    if value is None:
        raise NotFound(f"There is no such {what}.")
    return value


def first(rows: Sequence[V], what: str) -> V:
    """The first of them.

    Raises:
        NotFound: there is none.
    """
    return found(next(iter(rows), None), what)
