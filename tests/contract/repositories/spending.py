"""Somebody who spends a tenant's money."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from retinue.db.scripts import Script
from retinue.db.session import Database, Unit
from retinue.domain.budgets import Budget, Grant, Period, Quote, SetBy, Subject
from retinue.domain.ids import new_id
from retinue.domain.runs import CallOutcome, LedgerEntry, Run
from retinue.domain.usage import Cost
from tests.contract.repositories.builders import NOON, USAGE, an_entry

QUOTE = Quote(input_micros=100, most_micros=300)
KEY_ID = new_id()


def priced() -> Quote:
    return QUOTE


def a_call_of(run: Run, **changes: Any) -> LedgerEntry:
    own = {"user_id": "user-1", "key_id": KEY_ID, "opened_at": datetime.now(UTC), **changes}
    return an_entry(run, **own)


class Purse:
    """Spends a tenant's money."""

    def __init__(self, database: Database, run: Run, *, at_once: bool = False) -> None:
        """
        Args:
            at_once: calls are booked before they are written, as that of a new run is.
        """
        self.database, self.run, self._at_once = database, run, at_once

    async def add(self, **changes: Any) -> UUID:
        async with self.database.unit(self.run.tenant_id) as unit:
            return (await unit.budgets.add(a_budget(self.run.tenant_id, **changes))).id

    async def open(
        self, quote: Callable[[], Quote | None] = priced, **changes: Any
    ) -> tuple[LedgerEntry, Grant | None]:
        entry = a_call_of(self.run, **changes)
        async with self.database.unit(self.run.tenant_id) as unit:
            return entry, await (book if self._at_once else reserve)(unit, entry, quote)

    async def close(self, entry: LedgerEntry, micros: int | None) -> bool:
        async with self.database.unit(self.run.tenant_id) as unit:
            return await close(unit, entry, micros)

    async def now(self, budget_id: UUID) -> Budget:
        async with self.database.unit(self.run.tenant_id, read_only=True) as unit:
            return await unit.budgets.get(budget_id)

    async def counters(self, budget_id: UUID) -> tuple[int, int]:
        """What is spent, and what is reserved."""
        budget = await self.now(budget_id)
        return budget.spent_micros, budget.reserved_micros


async def reserve(unit: Unit, entry: LedgerEntry, quote: Callable[[], Quote | None] = priced) -> Grant | None:
    assert await unit.ledger.open(entry)
    return await unit.ledger.reserve(entry, quote)


async def book(
    unit: Unit, entry: LedgerEntry, quote: Callable[[], Quote | None] = priced, *, with_slots: bool = False
) -> Grant | None:
    if with_slots:
        await unit.limits.lock_slots()

    def script() -> Script[Grant | None]:
        grant, changes = yield from unit.ledger.booking(entry, quote, is_tenant_locked=with_slots)
        yield changes
        return grant

    return await unit.end_with(script())


async def close(unit: Unit, entry: LedgerEntry, micros: int | None) -> bool:
    return await unit.ledger.close(
        entry.id,
        outcome=CallOutcome.COMPLETED,
        usage=USAGE,
        cost=None if micros is None else Cost(micros=micros),
        error_code=None,
        at=datetime.now(UTC),
    )


def a_budget(tenant_id: UUID, **changes: Any) -> Budget:
    budget = Budget(
        id=new_id(),
        tenant_id=tenant_id,
        subject=Subject.TENANT,
        subject_id=str(tenant_id),
        period=Period.DAY,
        limit_micros=5_000_000_000_000,
        soft_percent=80,
        set_by=SetBy.TENANT,
        period_start=NOON,
        period_end=NOON,
        created_at=NOON,
        updated_at=NOON,
    )
    return msgspec.structs.replace(budget, **changes)
