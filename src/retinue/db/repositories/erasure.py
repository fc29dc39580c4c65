"""Removing what a deleted tenant owned.

What that is, the tables themselves say: whatever has a tenant is removed, unless it is one of the `SURVIVORS`. A table
that is added some day need not be remembered here.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.executor import Executor
from retinue.db.repositories.base import TenantRepository

_KEPT = {table.__tablename__ for table in (*t.SURVIVORS, t.Erasure)}
ERASED = tuple(
    table.name
    for table in reversed(t.Base.metadata.sorted_tables)
    if "tenant_id" in table.columns and table.name not in _KEPT
)
"""The tables of tenants, those that refer to others before those that they refer to."""


class Erasure(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant that was deleted."""

    tenant_id: UUID
    asked_at: datetime
    age: float
    """Seconds since its deletion, by the database's clock."""
    removed: dict[str, int]
    """Rows that were removed so far, by table."""


class ErasureRepository(TenantRepository):
    """Each method does little, so that whoever calls it again and again is in nobody's way."""

    async def keep_lease(self, worker: str, seconds: float) -> bool:
        """Go on with the erasure for so long; false if it is somebody else's by now, or done."""
        statement = self._update(t.Erasure).where(t.Erasure.worker == worker)
        expiry = self._dialect.clock_after(seconds)
        return await self._executor.change(statement.values(lease_expires_at=expiry)) == 1

    async def remove(self, name: str, limit: int) -> int:
        """Delete at most so many rows of one table of `ERASED`; returns how many, and adds them to what is known to be
        removed. Rows that hang on them go along uncounted.
        """
        table = t.Base.metadata.tables[name]
        own = table.c.tenant_id == self._tenant_id
        key = sa.tuple_(*table.primary_key.columns)
        first = sa.select(*table.primary_key.columns).where(own).order_by(*table.primary_key.columns).limit(limit)
        removed = await self._executor.change(sa.delete(table).where(own, key.in_(first)))
        if removed:
            await self._count(name, removed)
        return removed

    async def forget_what_was_said(self) -> None:
        """Take from the audit trail the key to what it holds of people and commands. The chain itself stays whole."""
        await self._executor.change(self._update(t.AuditHead), {"content_key": b""})

    async def _count(self, name: str, rows: int) -> None:
        removed: dict[str, int] = await self._executor.scalar(self._select(t.Erasure, t.Erasure.removed)) or {}
        await self._executor.change(self._update(t.Erasure), {"removed": removed | {name: removed.get(name, 0) + rows}})


class Erasures:
    """The erasures of all tenants."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    async def list(self, limit: int) -> Sequence[UUID]:
        """Tenants of which something is still there, those deleted first before others."""
        statement = sa.select(t.Erasure.tenant_id).order_by(t.Erasure.asked_at, t.Erasure.tenant_id).limit(limit)
        return [row.tenant_id for row in await self._executor.rows(statement)]

    async def take(self, tenant_id: UUID, worker: str, seconds: float) -> Erasure | None:
        """Have an erasure for so long; None if it is done, or another process is at it."""
        row = t.Erasure
        clock = self._executor.dialect.clock
        is_free = row.lease_expires_at.is_(None) | (row.lease_expires_at <= clock()) | (row.worker == worker)
        claim = sa.update(row).where(row.tenant_id == tenant_id, is_free)
        expiry = self._executor.dialect.clock_after(seconds)
        if not await self._executor.change(claim.values(worker=worker, lease_expires_at=expiry)):
            return None
        found = await self._executor.row(sa.select(row, clock().label("now")).where(row.tenant_id == tenant_id))
        return None if found is None else _erasure(found)

    async def end(self, tenant_id: UUID, worker: str) -> Erasure | None:
        """Remove the tenant itself, and whatever was added meanwhile. None, and nothing removed, if the erasure is
        somebody else's by now.
        """
        row = t.Erasure
        mine = sa.select(row, self._executor.dialect.clock().label("now")).where(
            row.tenant_id == tenant_id, row.worker == worker
        )
        found = await self._executor.row(mine.with_for_update())
        if found is None:
            return None
        records = t.IdempotencyRecord  # no foreign key leads from them
        await self._executor.change(sa.delete(records).where(records.tenant_id == tenant_id))
        await self._executor.change(sa.delete(t.Tenant).where(t.Tenant.id == tenant_id))
        return _erasure(found)


def _erasure(row: sa.Row[Any]) -> Erasure:
    return Erasure(
        tenant_id=row.tenant_id,
        asked_at=row.asked_at,
        age=(row.now - row.asked_at).total_seconds(),
        removed=row.removed,
    )
