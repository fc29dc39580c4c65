"""The usage ledger: one row per provider attempt, closed exactly once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.base import TenantRepository
from retinue.db.repositories.money import cost_columns, cost_of, usage_columns, usage_of
from retinue.domain.runs import CallOutcome, LedgerEntry
from retinue.domain.usage import Cost, Usage

_PLAIN = tuple(name for name in LedgerEntry.__struct_fields__ if name not in {"usage", "cost"})


class LedgerRepository(TenantRepository):
    async def open(self, entry: LedgerEntry) -> None:
        """Write down a call before it is made. To repeat it is harmless.

        Raises:
            NotFound: there is no such tenant.
        """
        plain = {name: getattr(entry, name) for name in _PLAIN}
        columns = {**plain, **usage_columns(entry.usage), **cost_columns(entry.cost)}
        await self._add(
            t.LedgerEntry,
            columns,
            missing="There is no such tenant.",
            refine=lambda insert: insert.on_conflict_do_nothing(),
        )

    async def close(
        self,
        entry_id: UUID,
        *,
        outcome: CallOutcome,
        usage: Usage | None,
        cost: Cost | None,
        error_code: str | None,
        at: datetime,
    ) -> bool:
        """Write down how the call ended; false and nothing written if that was done before."""
        values: dict[str, Any] = {"outcome": outcome, "error_code": error_code, "closed_at": at}
        values |= {**usage_columns(usage), **cost_columns(cost)}
        return await self._executor.change(self._open().where(t.LedgerEntry.id == entry_id), values) == 1

    async def list(self, run_id: UUID) -> Sequence[LedgerEntry]:
        """In the order in which they were opened."""
        statement = self._select(t.LedgerEntry).where(t.LedgerEntry.run_id == run_id).order_by(t.LedgerEntry.id)
        return [_entry(row) for row in await self._executor.rows(statement)]

    def _open(self) -> sa.Update:
        return self._update(t.LedgerEntry).where(t.LedgerEntry.outcome == CallOutcome.OPEN)


def _entry(row: sa.Row[Any]) -> LedgerEntry:
    return LedgerEntry(**{name: getattr(row, name) for name in _PLAIN}, usage=usage_of(row), cost=cost_of(row))
