"""Connecting: what is refused, and what the connections are like."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite

from retinue.db.connection import Connection
from retinue.db.dialects.postgresql import PostgreSQL
from retinue.db.dialects.sqlite import SQLite
from retinue.db.session import Database
from retinue.db.types import CleanText, Instant, Json, Processor, Word
from retinue.domain.encoding import encode
from retinue.domain.runs import RunStatus
from tests.support.roles import open_database

KINDS = [Instant(), CleanText(), Word(RunStatus), Json()]
SQLITE, POSTGRESQL = SQLiteDialect_aiosqlite(), PGDialect_asyncpg()  # type: ignore[no-untyped-call]


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    database = Database.connect(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}", command_timeout=7.0)
    yield database
    await database.aclose()


@pytest.mark.parametrize(
    "url",
    [
        "sqlite+aiosqlite://",
        "sqlite+aiosqlite:///:memory:",
        "sqlite+aiosqlite:///file:x?mode=memory&uri=true",
        "sqlite:///a.db",
        "postgresql://u:hunter2@h/d",
        "mysql+aiomysql://u:hunter2@h/d",
        "hunter2",
    ],
)
def test_other_databases_are_refused_without_repeating_the_url(url: str) -> None:
    with pytest.raises(ValueError, match=r"database|SQLite") as caught:
        Database.connect(url)
    assert "hunter2" not in str(caught.value)


def test_a_database_says_which_it_is(database: Database) -> None:
    assert database.is_sqlite
    assert not open_database("postgresql+asyncpg://u@h/d").is_sqlite


async def test_sqlite_connections_are_set_up(database: Database) -> None:
    async with database.operator(read_only=True) as unit:
        found = {}
        for pragma in ("journal_mode", "foreign_keys", "busy_timeout", "synchronous"):
            result = await unit._executor.connection.sqlalchemy.exec_driver_sql(f"PRAGMA {pragma}")
            found[pragma] = result.scalar()
    assert found == {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 7000, "synchronous": 1}


async def test_one_connection_of_sqlite_has_all_the_work_so_that_its_cache_stays_of_use(database: Database) -> None:
    several = [await Connection.taken(database._engine) for _ in range(3)]
    for connection in several:
        connection.give_back()
    for _ in range(3):
        again = await Connection.taken(database._engine)
        assert again.driver is several[-1].driver
        again.give_back()


async def test_a_writing_unit_has_the_write_lock_even_if_it_begins_by_reading(
    database: Database, tmp_path: Path
) -> None:
    other = sqlite3.connect(tmp_path / "a.db", timeout=0, isolation_level=None)
    try:
        async with database.operator() as unit:
            await unit._executor.row(sa.select(1))
            with pytest.raises(sqlite3.OperationalError, match="locked"):
                other.execute("BEGIN IMMEDIATE")
        async with database.operator(read_only=True) as unit:
            await unit._executor.row(sa.select(1))
            other.execute("BEGIN IMMEDIATE")
    finally:
        other.close()


def test_postgresql_connections_have_every_timeout() -> None:
    url = sa.make_url("postgresql+asyncpg://u@h/d")
    engine = PostgreSQL().create_engine(url, pool_size=3, command_timeout=4.0)
    given: dict[str, object] = {}

    @sa.event.listens_for(engine.sync_engine, "do_connect")
    def look(_dialect: object, _record: object, _args: object, arguments: dict[str, object]) -> None:
        given.update(arguments)
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        engine.sync_engine.connect()
    assert (given["timeout"], given["command_timeout"]) == (4.0, 4.0)
    assert given["server_settings"] == {
        "application_name": "retinue",
        "timezone": "UTC",
        "jit": "off",
        "max_parallel_workers_per_gather": "0",
        "statement_timeout": "4000",
        "lock_timeout": "4000",
        "idle_in_transaction_session_timeout": "5000",
    }


async def test_sqlite_gives_moments_of_its_clock_that_sort(database: Database) -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    dialect = SQLite()
    async with database.operator(read_only=True) as unit:
        row: Any = await unit._executor.row(
            sa.select(dialect.clock(), dialect.clock_after(-60.5), sa.cast(dialect.clock(), sa.Text))
        )
    assert len(row[2]) == len("2026-03-01 12:00:00.123456")
    assert before < row[0] < before + timedelta(minutes=1)
    assert timedelta(seconds=60) < row[0] - row[1] < timedelta(seconds=62)


def test_moments_are_utc_on_both_databases() -> None:
    moment = datetime(2026, 1, 1, 1, 0, tzinfo=timezone(timedelta(hours=2)))
    keep, read = _processors(Instant(), SQLITE)
    assert keep(moment) == "2025-12-31 23:00:00.000000"
    assert (read(keep(moment)), read(keep(moment)).tzinfo) == (moment, UTC)
    keep, _ = _processors(Instant(), POSTGRESQL)
    assert keep(moment) == moment


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRESQL], ids=lambda dialect: dialect.name)
def test_a_moment_without_a_zone_is_not_stored(dialect: sa.Dialect) -> None:
    keep, _ = _processors(Instant(), dialect)
    with pytest.raises(ValueError, match="zone"):
        keep(datetime(2026, 1, 1))  # noqa: DTZ001


@pytest.mark.parametrize("dialect", [SQLITE, POSTGRESQL], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(
    "kind", [Instant(), CleanText(), Word(RunStatus), Json()], ids=lambda kind: type(kind).__name__
)
def test_nothing_is_kept_and_read_as_nothing(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> None:
    keep, read = _processors(kind, dialect)
    assert keep(None) is None
    assert read(None) is None


def test_a_word_is_one_of_its_kind() -> None:
    keep, read = _processors(Word(RunStatus), POSTGRESQL)
    assert type(keep(RunStatus.RUNNING)) is str
    assert keep("running") == "running"
    assert read("running") is RunStatus.RUNNING
    with pytest.raises(ValueError, match="sleeping"):
        keep("sleeping")


def _processors(kind: sa.types.TypeEngine[Any], dialect: sa.Dialect) -> tuple[Processor, Processor]:
    """Into the database and out of it."""
    own = kind.dialect_impl(dialect)
    keep, read = own.bind_processor(dialect), own.result_processor(dialect, None)
    return keep or (lambda value: value), read or (lambda value: value)


def test_json_is_valid_utf8_whatever_the_text() -> None:
    assert encode({"a": "ü"}) == '{"a":"ü"}'.encode()
    assert encode([(1, {"a": "\ud800"})]) == '[[1,{"a":"\ufffd"}]]'.encode()
    assert encode({"\ud800": ["\udfff", 1, None, {"x": 1.5}]}) == '{"\ufffd":["\ufffd",1,null,{"x":1.5}]}'.encode()


async def test_a_transaction_that_comes_back_open_is_thrown_away(database: Database) -> None:
    async with database._engine.connect() as connection:
        first: Any = (await connection.get_raw_connection()).driver_connection
        await first.execute("BEGIN IMMEDIATE")
    async with asyncio.timeout(10), database.operator() as unit:
        assert unit._executor.connection.driver is not first
