"""PostgreSQL plans what takes long to plan once for each connection, and the rest anew while tables grow fast."""

import asyncio

import pytest

from retinue.db.dialects import postgresql
from retinue.db.session import Database, Unit
from retinue.domain.ids import new_id
from retinue.domain.spending import Grouping
from tests.contract.repositories.builders import LATER, NOON

pytestmark = pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)


async def _setting(unit: Unit, name: str = "plan_cache_mode") -> str:
    return str((await unit._executor.connection.sqlalchemy.exec_driver_sql(f"SHOW {name}")).scalar())


async def test_usage_is_planned_once(database: Database) -> None:
    async with database.unit(new_id(), read_only=True) as unit:
        await unit.usage.summarize(Grouping.DAY, since=NOON, until=LATER, limit=9)
        assert await _setting(unit) == "force_generic_plan"


async def test_what_comes_next_on_its_connection_is_not(database: Database) -> None:
    for _ in range(6):  # more than there are connections
        async with database.unit(new_id(), read_only=True) as unit:
            assert await _setting(unit) == "auto"
            await unit.usage.summarize(Grouping.DAY, since=NOON, until=LATER, limit=9)


async def test_no_statement_starts_workers(database: Database) -> None:
    async with database.unit(new_id(), read_only=True) as unit:
        assert await _setting(unit, "max_parallel_workers_per_gather") == "0"


async def test_plans_are_made_anew_with_the_beginning_of_a_transaction(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr(postgresql, "monotonic", lambda: now[0])
    begun: list[str] = []
    async with database.unit(new_id()) as unit:
        unit._executor.connection.driver.add_query_logger(lambda record: begun.append(record.query))
    for seconds in (0.5, 0.5, 0.5):
        now[0] += seconds
        async with database.unit(new_id()) as unit:
            await unit.clock()
            assert unit._executor.connection.driver.is_in_transaction()
    await asyncio.sleep(0)
    began = [query.partition(";")[0] for query in begun if "BEGIN" in query]
    assert began == ["BEGIN", "DISCARD PLANS", "BEGIN"]


async def test_so_are_those_of_single_statements(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(postgresql, "monotonic", lambda: now[0])
    heard: list[str] = []
    async with database.operator(read_only=True) as operator:
        operator._executor.connection.driver.add_query_logger(lambda record: heard.append(record.query))
    for _ in range(2):
        now[0] += 1
        async with database.operator(read_only=True) as operator:
            await operator.tenants.list(limit=1)
    await asyncio.sleep(0)
    assert [query for query in heard if "PLANS" in query] == ["DISCARD PLANS"]
