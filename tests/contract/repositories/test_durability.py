"""What is committed as durable survives the loss of power; SQLite has to be told before the transaction begins."""

from retinue.db.session import Database
from retinue.domain.ids import new_id


async def _synchronous(database: Database, *, is_durable: bool) -> str:
    async with database.unit(new_id(), is_durable=is_durable) as unit:
        if database.is_sqlite:
            return str((await unit._executor.connection.sqlalchemy.exec_driver_sql("PRAGMA synchronous")).scalar())
        return str((await unit._executor.connection.sqlalchemy.exec_driver_sql("SHOW synchronous_commit")).scalar())


async def test_a_durable_unit_waits_for_the_disk(database: Database) -> None:
    assert await _synchronous(database, is_durable=True) == ("2" if database.is_sqlite else "on")


async def test_the_next_unit_on_its_connection_does_not(database: Database) -> None:
    usual = await _synchronous(database, is_durable=False)
    for _ in range(6):  # more than there are connections
        await _synchronous(database, is_durable=True)
        assert await _synchronous(database, is_durable=False) == usual
