"""A tenant's limits, and how much of its concurrent runs is in use."""

from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.dialects.base import Insert
from retinue.db.prepared import prepared
from retinue.db.repositories.conditions import is_held
from retinue.db.repositories.looks import Looks
from retinue.domain.limits import PARTIES, Bounds, Limits, StoredLimits

_BOUNDS = Bounds.__struct_fields__


class Used(msgspec.Struct, frozen=True):
    """Runs that are being answered."""

    tenant: int
    key: int
    user: int


class LimitsRepository(Looks):
    async def get(self) -> StoredLimits | None:
        row = await self._executor.row(self._chosen())
        return None if row is None else _stored(row)

    async def get_for_update(self) -> StoredLimits | None:
        """Read what this transaction is about to replace; another one that wants the same waits, also for the first.

        Raises:
            NotFound: there is no such tenant.
        """
        await self._lock_tenant()
        return await self.get()

    async def put(self, stored: StoredLimits) -> None:
        """Create or replace.

        Raises:
            NotFound: there is no such tenant.
        """
        columns = {**_columns(stored.limits), "updated_at": stored.updated_at}

        def or_replace(insert: Insert) -> Insert:
            replaced = {name: insert.excluded[name] for name in columns}
            return insert.on_conflict_do_update(index_elements=["tenant_id"], set_=replaced)

        await self._add(t.TenantLimits, dict(columns), refine=or_replace, missing="There is no such tenant.")

    async def lock_slots(self) -> None:
        """Let no other transaction pass here for this tenant until this one ends, so that counting its runs and
        starting one is one act. Take it after the lock of a conversation and before that of an employee.

        Raises:
            NotFound: there is no such tenant.
        """
        await self._lock_tenant()

    async def count_runs(self, *, key_id: UUID | None, user_id: str | None, only_held: bool = False) -> Used:
        """How many of the tenant's runs are running, and how many of these are the key's and the user's. One that waits
        for a person is not among them.

        Args:
            only_held: leave out those whose lease has run out, or that no process has taken up yet.
        """
        row = await self._executor.row(self._at_work(key_id, user_id, only_held=only_held))
        assert row is not None, "a count has a row"
        return Used(row.tenant, row.key, row.user)

    @prepared
    def _chosen(self) -> sa.Select[Any]:
        return self._select(t.TenantLimits)

    @prepared
    def _at_work(self, key_id: UUID | None, user_id: str | None, *, only_held: bool) -> sa.Select[Any]:
        statement = self._runs_at_work(key_id, user_id)
        return statement.where(is_held(self._dialect.clock())) if only_held else statement


def _columns(limits: Limits) -> dict[str, int | None]:
    return {f"{party}_{bound}": getattr(limits.of(party), bound) for party in PARTIES for bound in _BOUNDS}


def _stored(row: sa.Row[Any]) -> StoredLimits:
    parties = {party: Bounds(**{bound: getattr(row, f"{party}_{bound}") for bound in _BOUNDS}) for party in PARTIES}
    return StoredLimits(limits=Limits(**parties), updated_at=row.updated_at)
