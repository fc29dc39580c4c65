"""Usage is the same, however much of it was summed up before somebody asks."""

import asyncio
from datetime import timedelta
from random import Random

import pytest
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.summing import UsageSums
from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.ids import new_id
from retinue.domain.runs import CallOutcome, Run
from retinue.domain.spans import SLOTS
from retinue.domain.spending import Grouping
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import COST, LATER, NOON, USAGE, a_tenant, an_entry
from tests.contract.repositories.calls import START, WHOLE, Act, Close, Open, SumUp, Teller, a_story
from tests.migrations.schema import look

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def call(run: int = 0, gap: timedelta = timedelta(0), micros: int | None = 7) -> list[Act]:
    return [Open(run, 0, 0, gap), Close(0, None, micros)]


async def a_teller(database: Database, *, like: Teller | None = None) -> Teller:
    """In a tenant of its own."""
    tenant = a_tenant(slug=f"t-{new_id()}")
    async with database.operator() as operator:
        await operator.tenants.add(tenant)
    return Teller(database, tenant.id, like=like)


@pytest.mark.parametrize("seed", range(8))
async def test_sums_are_what_the_calls_one_by_one_come_to(database: Database, seed: int) -> None:
    teller = await a_teller(database)
    await teller.play(*a_story(Random(seed), 150), WHOLE, SumUp(500), WHOLE)


@pytest.mark.parametrize(
    "story",
    [
        [*call(), *call(gap=DAY), SumUp(9)],
        [*call(), SumUp(9), *call(gap=DAY)],
        [*call(), SumUp(9), *call(gap=DAY), SumUp(9)],
        [*call(), *call(gap=2 * DAY), SumUp(9), *call(gap=-DAY), SumUp(9)],
        [*call(gap=DAY), SumUp(9), *call(gap=-DAY), SumUp(9)],
        [Open(0, 0, 0, HOUR), SumUp(9), *call(gap=HOUR)],
        [*call(micros=None), *call(), *call(run=2, micros=None), SumUp(2)],
    ],
    ids=[
        "over days, at once",
        "half of it summed",
        "one after the other",
        "between two that are summed",
        "before one that is summed",
        "open for long",
        "of unknown cost",
    ],
)
async def test_a_run_counts_once_wherever_its_calls_lie(database: Database, story: list[Act]) -> None:
    asked = [WHOLE._replace(since=first * HOUR + timedelta(minutes=5)) for first in range(-2, 80, 6)]
    teller = await a_teller(database)
    await teller.play(*story, *asked, SumUp(99), *asked)


@pytest.mark.parametrize("step", ["_added", "_returned", "_marked"])
async def test_what_breaks_off_in_the_middle_leaves_nothing(
    database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    teller = await a_teller(database)
    await teller.play(*call(), *call(gap=DAY))
    with monkeypatch.context() as patch:
        patch.setattr(UsageSums, step, _fail)
        with pytest.raises(ZeroDivisionError):
            await teller.play(SumUp(9))
    await teller.play(WHOLE, SumUp(9), WHOLE)
    assert not await _is_behind(database)


async def test_several_at_once_sum_each_call_once(database: Database, migrated_url: str) -> None:
    teller = await a_teller(database)
    await teller.play(*(act for number in range(12) for act in call(run=number % 3, gap=HOUR)))

    async def add() -> int:
        async with database.operator() as operator:
            return await operator.usage.add_calls(2)

    added = 0
    while await _is_behind(database):
        added += sum(await asyncio.gather(*(add() for _ in range(3))))
    assert added == 12
    await teller.play(WHOLE)
    assert await look(migrated_url, _summed_calls) == 12


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
async def test_who_comes_second_leaves_it_to_the_first(database: Database) -> None:
    """Two would both count a run of which each has a call."""
    teller = await a_teller(database)
    await teller.play(*call(), *call())
    held, may_end = asyncio.Event(), asyncio.Event()

    async def hold() -> int:
        async with database.operator() as operator:
            added = await operator.usage.add_calls(1)
            held.set()
            await may_end.wait()
            return added

    first = asyncio.create_task(hold())
    await held.wait()
    async with database.operator() as operator:
        second = await operator.usage.add_calls(9)
    may_end.set()
    assert (await first, second) == (1, 0)
    await teller.play(SumUp(9), WHOLE)


async def test_calls_of_all_tenants_are_summed_at_once_and_apart(database: Database) -> None:
    first = await a_teller(database)
    tellers = [first, await a_teller(database, like=first), await a_teller(database)]
    for teller in tellers:
        await teller.play(*call(), *call(gap=DAY), *call(run=1))
    async with database.operator() as operator:
        assert await operator.usage.add_calls(99) == 9
    for teller in tellers:
        await teller.play(WHOLE)


async def test_what_a_deleted_tenant_has_called_is_not_summed_any_more(database: Database, tenant: Tenant) -> None:
    teller = Teller(database, tenant.id)
    await teller.play(*call(), SumUp(9), *call())
    async with database.operator() as operator:
        await operator.tenants.delete(tenant.id)
    assert not await _is_behind(database)
    async with database.operator() as operator:
        assert await operator.usage.add_calls(9) == 0
    async with database.unit(tenant.id, read_only=True) as unit:
        assert await unit.usage.summarize(Grouping.DAY, since=START - DAY, until=START + DAY, limit=9) == []


async def test_what_was_used_outlives_the_conversation(
    database: Database, conversation: Conversation, run: Run
) -> None:
    async with database.unit(run.tenant_id) as unit:
        entry = an_entry(run)
        await unit.ledger.open(entry)
        await unit.ledger.close(
            entry.id, outcome=CallOutcome.COMPLETED, usage=USAGE, cost=COST, error_code=None, at=LATER
        )
    async with database.operator() as operator:
        assert await operator.usage.add_calls(9) == 1
    async with database.unit(run.tenant_id) as unit:
        await unit.conversations.delete(conversation.id)
        rows = await unit.usage.summarize(Grouping.CONVERSATION, since=NOON - DAY, until=NOON + DAY, limit=9)
    assert [(row.key, row.runs, row.cost_micros) for row in rows] == [(str(conversation.id), 1, COST.micros)]


async def _is_behind(database: Database) -> bool:
    async with database.operator(read_only=True) as operator:
        return await operator.usage.is_behind()


def _fail(*_: object) -> None:
    raise ZeroDivisionError


def _summed_calls(connection: sa.Connection) -> int:
    shortest = t.UsageSum.span % len(SLOTS) == 0
    counted = sa.select(sa.func.sum(t.UsageSum.calls)).where(t.UsageSum.grouping == Grouping.DAY, shortest)
    return int(connection.scalar(counted) or 0)
