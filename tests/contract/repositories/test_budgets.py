"""Budgets: made, changed and removed, and what they count."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest
import structlog

from retinue.db import tables as t
from retinue.db.session import Database
from retinue.domain.budgets import Budget, Grant, Period, Quote, Reservation, SetBy, Subject, end_of, start_of
from retinue.domain.errors import Conflict, NotFound
from retinue.domain.ids import new_id
from retinue.domain.runs import LedgerEntry
from retinue.domain.tenants import Tenant
from tests.contract.repositories.spending import KEY_ID, Purse, a_budget, a_call_of, close


async def test_a_budget_is_stored_changed_listed_and_removed(database: Database, tenant: Tenant) -> None:
    made = [a_budget(tenant.id, period=period) for period in Period]
    async with database.unit(tenant.id) as unit:
        stored = [await unit.budgets.add(budget) for budget in made]
        at = await unit.clock()
    for budget, before in zip(stored, made, strict=True):
        start = start_of(budget.period, at)
        kept = {"period_start", "period_end", "created_at", "updated_at"}
        assert (budget.period_start, budget.period_end) == (start, end_of(budget.period, start))
        assert all(
            getattr(budget, name) == getattr(before, name) for name in Budget.__struct_fields__ if name not in kept
        )
    changed = msgspec.structs.replace(stored[0], limit_micros=7, soft_percent=None, hard_stop=False, updated_at=at)
    async with database.unit(tenant.id) as unit:
        assert await unit.budgets.list(limit=9) == stored
        assert await unit.budgets.list(limit=9, after=stored[0].id) == stored[1:]
        assert await unit.budgets.get_for_update(stored[0].id) == stored[0]
        await unit.budgets.update(changed)
        assert await unit.budgets.find(changed.id) == changed
        await unit.budgets.delete(changed.id)
        assert await unit.budgets.list(limit=9) == stored[1:]
        for gone in (unit.budgets.get, unit.budgets.get_for_update, unit.budgets.delete):
            with pytest.raises(NotFound):
                await gone(changed.id)


async def test_a_subject_has_one_budget_of_a_kind_from_each_side(database: Database, tenant: Tenant) -> None:
    budget = a_budget(tenant.id)
    async with database.unit(tenant.id) as unit:
        await unit.budgets.add(budget)
        await unit.budgets.add(msgspec.structs.replace(budget, id=new_id(), set_by=SetBy.OPERATOR))
        await unit.budgets.add(msgspec.structs.replace(budget, id=new_id(), period=Period.MONTH))
        await unit.budgets.add(msgspec.structs.replace(budget, id=new_id(), subject=Subject.USER))
    with pytest.raises(Conflict) as caught:
        async with database.unit(tenant.id) as unit:
            await unit.budgets.add(msgspec.structs.replace(budget, id=new_id()))
    assert caught.value.problem_code == "budget_exists"


async def test_what_was_spent_before_counts(purse: Purse) -> None:
    """From the beginning of the period, and nothing before it."""
    old = a_call_of(purse.run, tries=3)
    old = msgspec.structs.replace(old, opened_at=datetime.now(UTC) - timedelta(days=40))
    async with purse.database.unit(purse.run.tenant_id) as unit:
        await unit.ledger.open(old)
        await close(unit, old, 1_000_000)
    done, _ = await purse.open()
    await purse.close(done, 70)
    unknown, _ = await purse.open()
    await purse.close(unknown, None)
    for subject, named in (
        (Subject.TENANT, str(purse.run.tenant_id)),
        (Subject.EMPLOYEE, str(purse.run.employee_id)),
        (Subject.USER, "user-1"),
        (Subject.KEY, str(KEY_ID)),
    ):
        assert await purse.counters(await purse.add(subject=subject, subject_id=named)) == (70, 0)
    other = await purse.add(subject=Subject.USER, subject_id="user-2")
    assert await purse.counters(other) == (0, 0)


async def test_calls_that_are_open_when_a_budget_is_made_are_booked_when_they_end(purse: Purse) -> None:
    before = await purse.add(limit_micros=1000)
    entry, _ = await purse.open()
    after = await purse.add(limit_micros=1000, period=Period.MONTH)
    assert [await purse.counters(each) for each in (before, after)] == [(0, 300), (0, 0)]
    await purse.close(entry, 90)
    assert [await purse.counters(each) for each in (before, after)] == [(90, 0), (90, 0)]


async def test_a_budget_that_was_removed_needs_nothing_back(purse: Purse) -> None:
    budget = await purse.add(limit_micros=1000)
    entry, _ = await purse.open()
    async with purse.database.unit(purse.run.tenant_id) as unit:
        await unit.budgets.delete(budget)
    assert await purse.close(entry, 90)


async def test_each_period_begins_with_nothing(purse: Purse) -> None:
    """A call that was begun in an earlier one is booked in none: its budget is over."""
    budget = await purse.add(limit_micros=300, soft_percent=1)
    entry, _ = await purse.open()
    done = await purse.open(lambda: Quote(0, 0))
    await purse.close(done[0], 100)
    await yesterday(purse, budget, entry)
    now = await purse.now(budget)
    assert (now.spent_micros, now.reserved_micros, now.alerted_at) == (0, 0, None)
    assert now.period_start == start_of(Period.DAY, datetime.now(UTC))
    following, grant = await purse.open()
    assert grant == Grant(300, is_whole=True)
    await purse.close(entry, 150)
    assert await purse.counters(budget) == (0, 300)
    await purse.close(following, 10)
    assert await purse.counters(budget) == (10, 0)


async def yesterday(purse: Purse, budget_id: UUID, entry: LedgerEntry) -> None:
    """All that has happened so far has happened the day before."""
    day = start_of(Period.DAY, datetime.now(UTC)) - timedelta(days=1)
    async with purse.database.unit(purse.run.tenant_id) as unit:
        ledger = unit.ledger
        await ledger._executor.change(ledger._update(t.Budget).where(t.Budget.id == budget_id), {"period_start": day})
        held = (Reservation(budget_id, day, 300),)
        await ledger._executor.change(
            ledger._update(t.LedgerEntry).where(t.LedgerEntry.id == entry.id), {"reservations": held}
        )


async def test_an_alert_is_raised_once(purse: Purse) -> None:
    budget = await purse.add(limit_micros=1000, soft_percent=50)
    with structlog.testing.capture_logs() as lines:
        for cost, alerts in ((499, 0), (1, 1), (1, 1)):
            entry, _ = await purse.open()
            await purse.close(entry, cost)
            assert len(await alerts_of(purse)) == alerts
    assert [line["budget_id"] for line in lines if line["event"] == "budget_alerted"] == [str(budget)]
    (alert,) = await alerts_of(purse)
    now = await purse.now(budget)
    assert now.alerted_at is not None
    assert (alert.actor, alert.object_id) == ("system", str(budget))
    assert (alert.payload["spent_micros"], alert.payload["limit_micros"]) == (500, 1000)


async def alerts_of(purse: Purse) -> Any:
    async with purse.database.unit(purse.run.tenant_id, read_only=True) as unit:
        return await unit.audit.list(limit=9, action="budget.alerted")
