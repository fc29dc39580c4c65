"""Two who reserve, settle or make budgets at the same moment, on PostgreSQL. On SQLite writers are serial."""

import asyncio
from collections.abc import AsyncIterator, Callable
from functools import partial
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from retinue.db.session import Database
from retinue.domain.budgets import Budget, Grant, Period, SetBy, Subject
from retinue.domain.errors import BudgetExceeded
from retinue.domain.runs import LedgerEntry
from retinue.domain.tenants import Tenant
from tests.contract.repositories.spending import Purse, a_budget, a_call_of, book, close, priced, reserve
from tests.contract.repositories.stage import Act, Stage
from tests.support.roles import superuser_url

pytestmark = pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)


@pytest.fixture
async def stage(database: Database, tenant: Tenant, migrated_url: str) -> AsyncIterator[Stage]:
    engine = create_async_engine(superuser_url(migrated_url), isolation_level="AUTOCOMMIT")
    async with engine.connect() as observer:
        yield Stage(database, tenant, observer)
    await engine.dispose()


@pytest.fixture(params=[reserve, book, partial(book, with_slots=True)], ids=["reserves", "books", "books with slots"])
def opens(request: pytest.FixtureRequest) -> "Opens":
    return lambda entry: lambda unit: request.param(unit, entry)


Opens = Callable[[LedgerEntry], Act]


def closes(entry: LedgerEntry, micros: int) -> Act:
    return lambda unit: close(unit, entry, micros)


def makes(budget: Budget) -> Act:
    return lambda unit: unit.budgets.add(budget)


async def test_two_calls_share_what_is_left(stage: Stage, purse: Purse, opens: Opens) -> None:
    budget = await purse.add(limit_micros=500)
    entries = [a_call_of(purse.run) for _ in range(2)]
    first, second = await stage.meet(opens(entries[0]), opens(entries[1]))
    assert (first, second) == (Grant(300, is_whole=True), Grant(200, is_whole=False))
    assert await purse.counters(budget) == (0, 500)


async def test_what_is_rolled_back_was_never_reserved(stage: Stage, purse: Purse, opens: Opens) -> None:
    await purse.add(limit_micros=300)
    entries = [a_call_of(purse.run) for _ in range(2)]
    _, second = await stage.meet(opens(entries[0]), opens(entries[1]), commit=False)
    assert second == Grant(300, is_whole=True)


async def test_the_last_money_goes_to_one(stage: Stage, purse: Purse, opens: Opens) -> None:
    await purse.add(limit_micros=300)
    entries = [a_call_of(purse.run) for _ in range(2)]
    first, second = await stage.meet(opens(entries[0]), opens(entries[1]))
    assert first == Grant(300, is_whole=True)
    assert isinstance(second, BudgetExceeded)


async def test_a_call_that_ends_while_a_budget_is_made_is_in_its_sum(stage: Stage, purse: Purse) -> None:
    entry, _ = await purse.open()
    budget = a_budget(purse.run.tenant_id)
    await stage.meet(closes(entry, 70), makes(budget))
    assert await purse.counters(budget.id) == (70, 0)


async def test_a_call_that_ends_after_a_budget_was_made_is_booked_there(stage: Stage, purse: Purse) -> None:
    entry, _ = await purse.open()
    budget = a_budget(purse.run.tenant_id)
    await stage.meet(makes(budget), closes(entry, 70))
    assert await purse.counters(budget.id) == (70, 0)


async def test_a_call_that_begins_while_a_budget_is_made_is_booked_there(
    stage: Stage, purse: Purse, opens: Opens
) -> None:
    entry, budget = a_call_of(purse.run), a_budget(purse.run.tenant_id)
    grant, _ = await stage.meet(opens(entry), makes(budget))
    assert grant is None
    await purse.close(entry, 70)
    assert await purse.counters(budget.id) == (70, 0)


async def test_a_call_that_begins_after_a_budget_was_made_is_bounded(stage: Stage, purse: Purse, opens: Opens) -> None:
    entry, budget = a_call_of(purse.run), a_budget(purse.run.tenant_id, limit_micros=200)
    _, grant = await stage.meet(makes(budget), opens(entry))
    assert grant == Grant(200, is_whole=False)


async def test_many_of_many_budgets_never_wait_for_each_other_for_ever(purse: Purse) -> None:
    run = purse.run
    for subject, named in (
        (Subject.TENANT, run.tenant_id),
        (Subject.EMPLOYEE, run.employee_id),
        (Subject.USER, "user-1"),
    ):
        for period in Period:
            for side in SetBy:
                await purse.add(subject=subject, subject_id=str(named), period=period, set_by=side)

    async def spend(number: int) -> Any:
        entry, _ = await purse.open(user_id=f"user-{number % 2}")
        following = a_call_of(run, tries=2)
        async with purse.database.unit(run.tenant_id) as unit:
            await unit.ledger.open(following)
            await close(unit, entry, 1)
            await unit.ledger.reserve(following, priced)
        return await purse.close(following, 1)

    assert await asyncio.gather(*(spend(number) for number in range(30))) == [True] * 30
    async with purse.database.unit(run.tenant_id, read_only=True) as unit:
        budgets = await unit.budgets.list(limit=99)
    assert {budget.reserved_micros for budget in budgets} == {0}
    assert {budget.spent_micros for budget in budgets if budget.subject is not Subject.USER} == {60}
