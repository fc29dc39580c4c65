"""Budgets, and what was spent of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.accounts import budget_of
from retinue.db.repositories.base import TenantRepository, found
from retinue.domain.budgets import Budget, Reservation, SetBy, Subject, end_of, start_of
from retinue.domain.runs import CallOutcome

_CHANGING = ("limit_micros", "soft_percent", "hard_stop", "updated_at")
_COMPUTED = {"period_end", "period_start", "created_at", "updated_at", "spent_micros"}


class BudgetRepository(TenantRepository):
    async def add(self, budget: Budget) -> Budget:
        """Store a budget and return it with what was spent before in its present period. Times are the database's.

        It counts every call of its subject exactly once. No call can be opened or closed while it looks: those that are
        closed are in its sum, and those that are open are told of it, so that they are booked when they are closed.

        Raises:
            NotFound: there is no such tenant.
            Conflict: code `budget_exists`.
        """
        await self._lock_tenant(alone=True)
        at = await self._executor.clock()
        start = start_of(budget.period, at)
        opened = await self._open_calls(budget, start)
        budget = msgspec.structs.replace(
            budget,
            period_start=start,
            period_end=end_of(budget.period, start),
            spent_micros=await self._spent(budget, start),
            created_at=at,
            updated_at=at,
        )
        await self._add(
            t.Budget, {name: getattr(budget, name) for name in budget.__struct_fields__ if name != "period_end"}
        )
        for row in opened:
            held = (*(row.reservations or ()), Reservation(budget.id, start, 0))
            entry = self._update(t.LedgerEntry).where(t.LedgerEntry.id == row.id)
            await self._executor.change(entry, {"reservations": held})
        return budget

    async def find(self, budget_id: UUID) -> Budget | None:
        row = await self._executor.row(self._rows().where(t.Budget.id == budget_id))
        return None if row is None else budget_of(row)

    async def get(self, budget_id: UUID) -> Budget:
        """Raises: NotFound."""
        return found(await self.find(budget_id), "budget")

    async def get_for_update(self, budget_id: UUID) -> Budget:
        """Read what this transaction is about to change; another one that wants the same waits.

        Raises:
            NotFound.
        """
        statement = self._rows().where(t.Budget.id == budget_id).with_for_update(key_share=True)
        return budget_of(found(await self._executor.row(statement), "budget"))

    async def list(self, *, limit: int, after: UUID | None = None) -> Sequence[Budget]:
        """Oldest first, those after the one with the id `after`."""
        statement = self._rows().order_by(t.Budget.id).limit(limit)
        if after is not None:
            statement = statement.where(t.Budget.id > after)
        return [budget_of(row) for row in await self._executor.rows(statement)]

    async def is_bounded_by_operator(self) -> bool:
        """Whether the operator has set a budget for the tenant."""
        statement = self._select(t.Budget, t.Budget.id).where(t.Budget.set_by == SetBy.OPERATOR)
        return await self._executor.row(statement.limit(1)) is not None

    async def update(self, budget: Budget) -> None:
        """Write limit, soft bound and whether it stops. The caller has it from `get_for_update`."""
        changed = {name: getattr(budget, name) for name in _CHANGING}
        await self._executor.change(self._update(t.Budget).where(t.Budget.id == budget.id), changed)

    async def delete(self, budget_id: UUID) -> None:
        """Raises: NotFound."""
        statement = self._delete(t.Budget).where(t.Budget.id == budget_id)
        found(await self._executor.change(statement) or None, "budget")

    async def _open_calls(self, budget: Budget, start: datetime) -> Sequence[sa.Row[Any]]:
        """Those that count, locked: whoever is closing one has committed when this returns."""
        statement = self._select(t.LedgerEntry, t.LedgerEntry.id, t.LedgerEntry.reservations).where(
            t.LedgerEntry.outcome == CallOutcome.OPEN, *_counts(budget, start)
        )
        return await self._executor.rows(statement.order_by(t.LedgerEntry.id).with_for_update(key_share=True))

    async def _spent(self, budget: Budget, start: datetime) -> int:
        total = sa.cast(sa.func.sum(t.LedgerEntry.cost_micros), sa.BigInteger)
        statement = self._select(t.LedgerEntry, total).where(*_counts(budget, start))
        return int(await self._executor.scalar(statement) or 0)

    def _rows(self) -> sa.Select[Any]:
        return self._select(t.Budget, t.Budget, self._dialect.clock().label("at"))


def _counts(budget: Budget, start: datetime) -> list[sa.ColumnElement[bool]]:
    entry = t.LedgerEntry
    since = entry.opened_at >= start
    match budget.subject:
        case Subject.TENANT:
            return [since]
        case Subject.EMPLOYEE:
            return [since, entry.employee_id == UUID(budget.subject_id)]
        case Subject.USER:
            return [since, entry.user_id == budget.subject_id]
        case Subject.KEY:
            return [since, entry.key_id == UUID(budget.subject_id)]
