"""PostgreSQL plans what takes long to plan once for each connection, and nothing else differently than it would."""

import pytest

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
