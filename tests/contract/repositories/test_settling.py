"""A call that is closed and settled in one step: its books are the same as if it had been done in two."""

from datetime import UTC, datetime
from typing import Any

import pytest
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.ledger import CallEnd
from retinue.domain.budgets import Quote, Reservation
from retinue.domain.runs import CallOutcome, LedgerEntry
from retinue.domain.usage import Cost
from tests.contract.repositories.builders import USAGE
from tests.contract.repositories.spending import Purse
from tests.contract.repositories.test_budgets import yesterday


class _RolledBack(Exception):
    pass


async def close_at_once(purse: Purse, entry: LedgerEntry, held: Reservation, micros: int | None) -> bool:
    end: CallEnd = {
        "outcome": CallOutcome.COMPLETED,
        "usage": USAGE,
        "cost": None if micros is None else Cost(micros=micros),
        "error_code": None,
        "at": datetime.now(UTC),
    }
    try:
        async with purse.database.unit(purse.run.tenant_id) as unit:
            is_closed, *_ = await unit.together(*unit.ledger.closing_settled(entry.id, held, **end))
            if not is_closed:
                raise _RolledBack
    except _RolledBack:
        return False
    return True


async def held_by(purse: Purse, entry: LedgerEntry) -> Reservation:
    (held,) = await _reservations(purse, entry)
    return held


async def _reservations(purse: Purse, entry: LedgerEntry) -> tuple[Reservation, ...]:
    async with purse.database.unit(purse.run.tenant_id) as unit:
        row: Any = await unit._executor.row(sa.select(t.LedgerEntry).where(t.LedgerEntry.id == entry.id))
        return tuple(row.reservations)


async def alerts(purse: Purse) -> int:
    async with purse.database.unit(purse.run.tenant_id, read_only=True) as unit:
        return len(await unit.audit.list(limit=99, action="budget.alerted"))


@pytest.mark.parametrize("micros", [120, 5000, None])
async def test_it_gives_back_and_books(purse: Purse, micros: int | None) -> None:
    budget = await purse.add(limit_micros=10_000)
    entry, _ = await purse.open()
    other, _ = await purse.open()
    assert await close_at_once(purse, entry, await held_by(purse, entry), micros)
    assert await purse.counters(budget) == (micros or 0, 300)
    assert await close_at_once(purse, other, await held_by(purse, other), 7)
    assert await purse.counters(budget) == ((micros or 0) + 7, 0)


async def test_what_was_closed_before_is_not_booked_again(purse: Purse) -> None:
    budget = await purse.add(limit_micros=10_000)
    entry, _ = await purse.open()
    held = await held_by(purse, entry)
    assert await purse.close(entry, 120)
    assert not await close_at_once(purse, entry, held, 120)
    assert await purse.counters(budget) == (120, 0)


async def test_a_call_that_holds_more_than_is_known_is_left_to_the_other_way(purse: Purse) -> None:
    budget = await purse.add(limit_micros=10_000)
    entry, _ = await purse.open()
    held = await held_by(purse, entry)
    later = await purse.add(limit_micros=20_000, period="month")
    assert not await close_at_once(purse, entry, held, 120)
    assert await purse.counters(budget) == (0, 300)
    assert await purse.close(entry, 120)
    assert [await purse.counters(each) for each in (budget, later)] == [(120, 0), (120, 0)]


async def test_a_budget_that_was_removed_needs_nothing_back(purse: Purse) -> None:
    budget = await purse.add(limit_micros=10_000)
    entry, _ = await purse.open()
    held = await held_by(purse, entry)
    async with purse.database.unit(purse.run.tenant_id) as unit:
        await unit.budgets.delete(budget)
    assert await close_at_once(purse, entry, held, 120)


async def test_a_reservation_of_an_earlier_period_is_forgotten_with_it(purse: Purse) -> None:
    budget = await purse.add(limit_micros=10_000)
    entry, _ = await purse.open()
    held = await held_by(purse, entry)
    earlier = Reservation(held.budget_id, held.period_start.replace(year=2020), held.micros)
    async with purse.database.unit(purse.run.tenant_id) as unit:
        await unit._executor.change(unit.ledger._row(entry.id), {"reservations": (earlier,)})
    assert await close_at_once(purse, entry, earlier, 120)
    assert await purse.counters(budget) == (0, 300)


async def test_so_it_is_if_nothing_has_happened_in_the_present_period_yet(purse: Purse) -> None:
    budget = await purse.add(limit_micros=1000, soft_percent=1)
    entry, _ = await purse.open()
    await yesterday(purse, budget, entry)
    held = await held_by(purse, entry)
    assert await close_at_once(purse, entry, held, 120)
    assert await purse.counters(budget) == (0, 0)
    assert await alerts(purse) == 0


async def test_an_alert_is_raised_once(purse: Purse) -> None:
    await purse.add(limit_micros=1000, soft_percent=80)
    for micros, expected in ((799, 0), (1, 1), (50, 1)):
        entry, _ = await purse.open(lambda: Quote(0, 0))
        assert await close_at_once(purse, entry, await held_by(purse, entry), micros)
        assert await alerts(purse) == expected


async def test_without_a_soft_bound_there_is_none(purse: Purse) -> None:
    await purse.add(limit_micros=1000, soft_percent=None)
    entry, _ = await purse.open()
    assert await close_at_once(purse, entry, await held_by(purse, entry), 900)
    assert await alerts(purse) == 0
