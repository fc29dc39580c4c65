"""Closed calls are summed up, batch after batch, whatever goes wrong."""

import asyncio
from datetime import timedelta

import pytest

from retinue.db.session import OperatorUnit
from retinue.domain.runs import CallOutcome
from retinue.domain.spending import Grouping
from retinue.jobs import summing as module
from retinue.jobs.summing import keep_summing, sum_up
from tests.contract.repositories.builders import COST, NOON, USAGE, an_entry
from tests.support.statements import listening
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import until

DAY = timedelta(days=1)


async def book(world: World, calls: int) -> None:
    run = await world.run()
    async with world.database.unit(run.tenant_id) as unit:
        for number in range(calls):
            entry = an_entry(run, step=number)
            await unit.ledger.open(entry)
            await unit.ledger.close(
                entry.id, outcome=CallOutcome.COMPLETED, usage=USAGE, cost=COST, error_code=None, at=NOON
            )


async def is_behind(world: World) -> bool:
    async with world.database.operator(read_only=True) as operator:
        return await operator.usage.is_behind()


async def test_in_batches_until_none_is_left(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH", 2)
    await book(world, 5)
    assert await sum_up(world.database) == 5
    assert not await is_behind(world)
    async with world.database.unit(world.tenant.id, read_only=True) as unit:
        (row,) = await unit.usage.summarize(Grouping.DAY, since=NOON - DAY, until=NOON + DAY, limit=9)
    assert (row.calls, row.runs, row.cost_micros) == (5, 1, 5 * COST.micros)


async def test_where_there_is_nothing_to_do_nothing_is_written(world: World) -> None:
    await book(world, 1)
    await sum_up(world.database)
    with listening() as heard:
        assert await sum_up(world.database) == 0
    assert [each.sql.split()[0] for each in heard] == ["SELECT"]


async def test_the_job_goes_on_whatever_happens(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = 0
    usage = OperatorUnit.usage.func  # type: ignore[attr-defined]

    def fail_first(unit: OperatorUnit) -> object:
        nonlocal rounds
        rounds += 1
        if rounds == 1:
            raise ZeroDivisionError
        return usage(unit)

    monkeypatch.setattr(OperatorUnit, "usage", property(fail_first))
    await book(world, 1)
    job = asyncio.create_task(keep_summing(world.database, 0))
    await until(lambda: rounds > 5)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert not await is_behind(world)
