"""SQLite in a file, through aiosqlite."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm import aliased
from sqlalchemy.pool import AsyncAdaptedQueuePool

from retinue.db.changes import Outcome
from retinue.db.connection import Connection
from retinue.db.dialects.base import SECONDS_BEFORE_1970, Dialect, Insert
from retinue.db.dialects.ordered_join import OrderedJoin
from retinue.db.dialects.several import ThreadsideConnection, outcomes, performed, visit
from retinue.db.dialects.sqlite_files import prepare_connections
from retinue.db.dialects.transactions import Transaction
from retinue.db.scripts import Course, Parts
from retinue.db.tables import Base
from retinue.db.types import Instant
from retinue.domain.encoding import encode_text
from retinue.domain.errors import StorageFailed, Unavailable

SCRUB_BYTES = 256 * 2**20
"""A few seconds' work."""
_SIZE = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
_DURABLE = "retinue_durable"
_OUTAGES = {
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
}
_UNIQUE = "UNIQUE constraint failed: "

R = TypeVar("R")


class SQLite(Dialect):
    """Writers are serial. Inside the process they queue for a lock in the order they came; SQLite's own waiting, which
    polls and is unfair, is left for other processes.
    """

    scheme: ClassVar[str] = "sqlite"

    def __init__(self) -> None:
        super().__init__()
        self._writer = asyncio.Lock()
        self._patience = 0.0

    def create_engine(
        self, url: sa.URL, *, pool_size: int, command_timeout: float, migrates: bool = False
    ) -> AsyncEngine:
        if url.database in {None, "", ":memory:"} or url.query.get("mode") == "memory":
            raise ValueError("SQLite needs a file: every connection to a database in memory has one of its own")
        self._patience = command_timeout
        if migrates:
            with suppress(OSError):  # connecting says it better
                Path(url.database or "").parent.mkdir(parents=True, exist_ok=True)
        engine = create_async_engine(
            url,
            poolclass=AsyncAdaptedQueuePool,
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=command_timeout,
            pool_use_lifo=True,  # whatever another connection writes makes a cache useless: so one has all the work
            pool_reset_on_return="rollback" if migrates else None,  # see `refuse_unfinished`
            json_serializer=encode_text,
            hide_parameters=True,
            connect_args={"factory": ThreadsideConnection},
        )
        prepare_connections(engine, patience=command_timeout, migrates=migrates)
        return engine

    async def begin(
        self,
        engine: AsyncEngine,
        *,
        tenant_id: UUID | None,  # noqa: ARG002
        read_only: bool,
        is_durable: bool,
    ) -> Transaction:
        if read_only:
            connection = await Connection.taken(engine)
            connection.opening = "BEGIN"
            return AiosqliteTransaction(connection)
        async with asyncio.timeout(self._patience):
            await self._writer.acquire()
        try:
            connection = await Connection.taken(engine)
        except BaseException:
            self._writer.release()
            raise
        transaction = AiosqliteTransaction(connection, self._writer.release)
        await transaction.begin_to_write(is_durable=is_durable)
        return transaction

    async def scrub(self, engine: AsyncEngine) -> bool:
        """Also what was deleted by versions that did not overwrite, and what pages have kept when they were split.

        Writers wait meanwhile; so a file that is larger than `SCRUB_BYTES` is left to its owner.
        """
        async with asyncio.timeout(self._patience):
            await self._writer.acquire()
        try:
            async with engine.connect() as connection:
                # Under SQLAlchemy's own methods a transaction would begin, in which none of this is possible.
                driver: Any = (await connection.get_raw_connection()).driver_connection
                is_small = await _first(driver, _SIZE) <= SCRUB_BYTES
                if is_small:
                    await driver.execute("VACUUM")
                if await _first(driver, "PRAGMA wal_checkpoint(TRUNCATE)"):
                    raise Unavailable("Somebody reads what is to be removed.", code="storage_unavailable")
                return is_small
        finally:
            self._writer.release()

    async def fetch(self, connection: Connection, sql: str, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
        if connection.opening is None:
            rows: Iterable[Sequence[Any]] = await connection.driver.execute_fetchall(sql, arguments)
            return rows
        return (await visit(connection, lambda ask: ask(sql, arguments))).rows

    async def change(self, connection: Connection, sql: str, arguments: Sequence[Any]) -> int:
        if connection.opening is None:
            # The cursor is through; to have it closed would be another visit to the connection's thread.
            count: int = (await connection.driver.execute(sql, arguments)).rowcount
            return count
        return (await visit(connection, lambda ask: ask(sql, arguments))).touched

    async def together(self, connection: Connection, parts: Parts) -> Sequence[Outcome]:
        return await visit(connection, lambda ask: outcomes(ask, parts))

    async def perform(self, connection: Connection, course: Course[R]) -> R:
        return await visit(connection, lambda ask: performed(connection, course, ask))

    def clock(self) -> sa.ColumnElement[datetime]:
        return self.clock_after(0.0)

    def clock_after(self, seconds: float) -> sa.ColumnElement[datetime]:
        # SQLite knows milliseconds; the zeros keep the text as long as every other moment, so that it sorts.
        moment = sa.func.strftime("%Y-%m-%d %H:%M:%f", "now", f"{seconds:+.3f} seconds")
        return sa.type_coerce(moment.op("||")("000"), Instant())

    def search_clock_after(self, seconds: float) -> sa.ColumnElement[datetime]:
        return self.clock_after(seconds)  # SQLite's `now` is the same in all of a statement

    def day(self, column: Any) -> sa.ColumnElement[str]:
        return sa.func.substr(sa.type_coerce(column, sa.Text()), 1, 10, type_=sa.Text())

    def seconds(self, column: Any) -> sa.ColumnElement[int]:
        # Fractions are cut off first: SQLite rounds them to milliseconds, and so up to the next second.
        whole = sa.func.substr(sa.type_coerce(column, sa.Text()), 1, 19)
        return sa.cast(sa.func.strftime("%s", whole), sa.BigInteger) + SECONDS_BEFORE_1970

    def members(self, values: Any, kind: type[sa.types.TypeEngine[Any]]) -> sa.TableValuedAlias:
        return sa.func.json_each(sa.type_coerce(values, sa.JSON())).table_valued(sa.column("value", kind))

    def of_each(
        self, members: sa.TableValuedAlias, rows: Callable[[Any], sa.Select[Any]], table: type[Base]
    ) -> sa.Select[Any]:
        return rows(table).select_from(OrderedJoin(members, sa.inspect(table).selectable, sa.true()))

    def first_of_each(
        self,
        members: sa.TableValuedAlias,
        rows: Callable[[Any], sa.Select[Any]],
        table: type[Base],
        *,
        key: str,
        limit: Any,
        among: Callable[[Any], Sequence[sa.ColumnElement[bool]]],
    ) -> sa.Select[Any]:
        column = getattr(same := aliased(table), key)
        keys = rows(same).with_only_columns(column).where(*among(column)).order_by(column).limit(limit)
        is_first = getattr(table, key).in_(keys.correlate(members))
        return self.of_each(members, rows, table).where(is_first)

    def try_lock(self, number: int) -> sa.ColumnElement[bool]:  # noqa: ARG002
        return sa.true()  # writers are serial

    def utf8(self, column: Any) -> sa.ColumnElement[bytes]:
        return sa.cast(column, sa.LargeBinary())

    def insert(self, table: type[Base]) -> Insert:
        return insert(Base.metadata.tables[table.__tablename__])

    def is_outage(self, error: BaseException) -> bool:
        if isinstance(error, sa.exc.DBAPIError):
            return error.connection_invalidated or self.is_outage(error.driver_exception)
        if isinstance(error, sqlite3.Error):
            code = getattr(error, "sqlite_errorcode", None)
            return code is not None and code & 0xFF in _OUTAGES
        return isinstance(error, OSError | sa.exc.TimeoutError)

    def is_refusal(self, error: BaseException) -> bool:
        return isinstance(error, sqlite3.IntegrityError)

    def is_missing_reference(self, error: BaseException) -> bool:
        return "FOREIGN KEY" in str(error)

    def violated_key(self, error: BaseException) -> str | None:
        """SQLite names the columns, not the constraint; the tables' metadata knows which constraint has them."""
        message = str(error)
        if _UNIQUE not in message:
            return None
        places = [place.split(".") for place in message.partition(_UNIQUE)[2].split(", ")]
        return _key_over(places[0][0], [column for _, column in places])

    def check_migration(self, connection: sa.Connection) -> None:
        """Raises: StorageFailed, if a reference points nowhere."""
        if connection.exec_driver_sql("PRAGMA foreign_key_check").first() is not None:
            raise StorageFailed("The migration would leave references that point nowhere.")

    @property
    def migration_options(self) -> Mapping[str, Any]:
        return {"render_as_batch": True}


async def _first(driver: Any, statement: str) -> int:
    async with driver.execute(statement) as cursor:
        value: int = (await cursor.fetchone())[0]
    return value


class AiosqliteTransaction(Transaction):
    async def begin_to_write(self, *, is_durable: bool) -> None:
        """
        Args:
            is_durable: the commit survives the end of the machine, too, and not only that of the process. It costs a
                hundred times more, and has to be said before the transaction begins.
        """
        # A transaction that begins by reading cannot always be made a writing one later: SQLite fails it at once.
        self.connection.opening, notes = "BEGIN IMMEDIATE", self.connection.notes
        if notes.get(_DURABLE, False) is not is_durable:
            notes[_DURABLE] = None
            await self.begin(f"PRAGMA synchronous = {'FULL' if is_durable else 'NORMAL'}")
            notes[_DURABLE] = is_durable

    async def _commit(self) -> None:
        if self.connection.take_opening() is None and not self.connection.is_committed:
            await self.connection.driver.execute("COMMIT")

    async def _roll_back(self) -> None:
        if self.connection.take_opening() is None:
            await self.connection.driver.rollback()

    async def _close(self) -> None:
        await self.connection.invalidate()


def _key_over(table: str, columns: list[str]) -> str | None:
    described = Base.metadata.tables[table]
    keys = [item for item in described.constraints if isinstance(item, sa.UniqueConstraint)]
    keys += [item for item in described.indexes if item.unique]  # type: ignore[misc]
    for key in keys:
        if {column.name for column in key.columns} == set(columns):
            return str(key.name)
    return None
