"""PostgreSQL, through asyncpg."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from itertools import chain
from time import monotonic
from typing import Any, ClassVar, NoReturn
from uuid import UUID

import asyncpg  # type: ignore[import-untyped]
import sqlalchemy as sa
import structlog
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from retinue.db.changes import Joint, Outcome
from retinue.db.connection import Connection
from retinue.db.dialects.base import SECONDS_BEFORE_1970, Dialect, Insert
from retinue.db.dialects.transactions import SingleStatements, Transaction
from retinue.db.prepared import Prepared
from retinue.db.row_security import Roles, apply
from retinue.db.scripts import Parts
from retinue.db.tables import Base
from retinue.db.types import Instant
from retinue.domain.encoding import encode_text
from retinue.domain.errors import StorageFailed

_CONNECT_SECONDS = 10.0
_LOCK_SECONDS = 8
"""Longer than a frozen transaction is suffered: who waits for one gets the lock and not an error."""
_IDLE_IN_TRANSACTION_SECONDS = 5
"""A unit awaits nothing but its statements. One that is silent for so long is frozen, and its locks are in the way."""
_TRUSTED_IDLE_SECONDS = 30.0
_OUTAGE_CLASSES = ("08", "28", "53", "57P", "58")  # connections, credentials, resources, operators, the system
_OUTAGE_STATES = {
    "3D000",  # no such database
    "57014",  # statement timeout
    "55P03",  # lock timeout
    "40001",
    "40P01",  # deadlock
    "25P03",  # idle in transaction for too long
}
_FOREIGN_KEY = "23503"
_PLAN_ANEW = "DISCARD PLANS"
_PLANNED = "retinue_planned"
_PLANS_LAST_SECONDS = 1.0
"""The first ones of a connection."""
_log = structlog.get_logger(__name__)
_MIGRATION_LOCK = 0x52544E5545  # any number that no other user of the database takes


class PostgreSQL(Dialect):
    scheme: ClassVar[str] = "postgresql"
    has_roles: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self._joints: dict[tuple[Prepared, ...], Joint] = {}

    def create_engine(
        self,
        url: sa.URL,
        *,
        pool_size: int,
        command_timeout: float,
        migrates: bool = False,
    ) -> AsyncEngine:
        engine = create_async_engine(
            url,
            isolation_level="READ COMMITTED" if migrates else "AUTOCOMMIT",  # see `transactions`
            pool_reset_on_return="rollback" if migrates else None,  # see `refuse_unfinished`
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=command_timeout,
            json_serializer=encode_text,
            json_deserializer=str,  # the columns do it; see `types.Json`
            hide_parameters=True,
            connect_args={
                "timeout": min(_CONNECT_SECONDS, command_timeout),
                "command_timeout": command_timeout,
                "server_settings": _server_settings(command_timeout),
            },
        )
        _watch_pool(engine)
        return engine

    async def begin(
        self, engine: AsyncEngine, *, tenant_id: UUID | None, read_only: bool, is_durable: bool
    ) -> Transaction:
        connection = await Connection.taken(engine)
        replans = is_to_plan_anew(connection.notes)
        if read_only and tenant_id is None:
            if replans:
                await SingleStatements(connection).begin(_PLAN_ANEW)
            # Under READ COMMITTED every statement sees a snapshot of its own anyway: without BEGIN and COMMIT a read is
            # one round trip instead of three.
            return SingleStatements(connection)
        transaction = AsyncpgTransaction(connection)
        begin = beginning(tenant_id, read_only=read_only, is_durable=is_durable)
        await transaction.begin(f"{_PLAN_ANEW}; {begin}" if replans else begin)
        return transaction

    async def fetch(self, connection: Connection, sql: str, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
        rows: list[Sequence[Any]] = await connection.driver.fetch(sql, *arguments)
        return rows

    async def change(self, connection: Connection, sql: str, arguments: Sequence[Any]) -> int:
        status: str = await connection.driver.execute(sql, *arguments)
        return int(status.rpartition(" ")[2])

    async def together(self, connection: Connection, parts: Parts) -> Sequence[Outcome]:
        key = tuple(prepared for prepared, _ in parts)
        if (joint := self._joints.get(key)) is None:
            joint = self._joints[key] = Joint(key)
        rows = await connection.driver.fetch(joint.sql, *chain.from_iterable(arguments for _, arguments in parts))
        return joint.outcomes(rows[0])

    async def plan_once(self, connection: Connection) -> None:
        await connection.driver.execute("SET LOCAL plan_cache_mode = force_generic_plan")

    def clock(self) -> sa.ColumnElement[datetime]:
        return sa.type_coerce(sa.func.clock_timestamp(), Instant())

    def clock_after(self, seconds: float) -> sa.ColumnElement[datetime]:
        moment = sa.func.clock_timestamp() + sa.literal(timedelta(seconds=seconds), sa.Interval())
        return sa.type_coerce(moment, Instant())

    def search_clock_after(self, seconds: float) -> sa.ColumnElement[datetime]:
        moment = sa.func.statement_timestamp() + sa.literal(timedelta(seconds=seconds), sa.Interval())
        return sa.type_coerce(moment, Instant())

    def day(self, column: Any) -> sa.ColumnElement[str]:
        return sa.func.to_char(sa.func.timezone("UTC", column), sa.literal_column("'YYYY-MM-DD'"), type_=sa.Text())

    def seconds(self, column: Any) -> sa.ColumnElement[int]:
        epoch = sa.cast(sa.func.floor(sa.extract("epoch", column)), sa.BigInteger)
        return epoch + SECONDS_BEFORE_1970

    def members(self, values: Any, kind: type[sa.types.TypeEngine[Any]]) -> sa.TableValuedAlias:
        return sa.func.unnest(sa.type_coerce(values, sa.ARRAY(kind))).table_valued("value").render_derived()

    def of_each(
        self, members: sa.TableValuedAlias, rows: Callable[[Any], sa.Select[Any]], table: type[Base]
    ) -> sa.Select[Any]:
        # With an offset it is not made a part of the query around, which might look up nothing and join later.
        own = rows(table).offset(sa.literal_column("0")).lateral()
        return sa.select(own).select_from(members.join(own, sa.true()))

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
        column = getattr(table, key)
        first = rows(table).where(*among(column)).order_by(column).limit(limit).lateral()
        return sa.select(first).select_from(members.join(first, sa.true()))

    def try_lock(self, number: int) -> sa.ColumnElement[bool]:
        return sa.func.pg_try_advisory_xact_lock(number)

    def utf8(self, column: Any) -> sa.ColumnElement[bytes]:
        return sa.func.convert_to(column, sa.literal_column("'UTF8'"), type_=sa.LargeBinary())

    def insert(self, table: type[Base]) -> Insert:
        return insert(Base.metadata.tables[table.__tablename__])

    def is_outage(self, error: BaseException) -> bool:
        if isinstance(error, sa.exc.DBAPIError):
            return error.connection_invalidated or self.is_outage(error.driver_exception)
        if isinstance(error, asyncpg.PostgresError):
            state = error.sqlstate or ""
            return state.startswith(_OUTAGE_CLASSES) or state in _OUTAGE_STATES
        if isinstance(error, asyncpg.InternalClientError):  # a connection that the server has just said it will close
            return True
        return isinstance(error, OSError | asyncpg.InterfaceError | sa.exc.TimeoutError)

    def is_refusal(self, error: BaseException) -> bool:
        return isinstance(error, asyncpg.IntegrityConstraintViolationError)

    def is_missing_reference(self, error: BaseException) -> bool:
        return getattr(error, "sqlstate", None) == _FOREIGN_KEY

    def violated_key(self, error: BaseException) -> str | None:
        return getattr(error, "constraint_name", None)

    def prepare_migration(self, connection: sa.Connection) -> None:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK)))
        connection.execute(sa.select(sa.func.set_config("retinue.migrates", "on", True)))

    def secure(self, connection: sa.Connection, roles: Roles | None) -> None:
        apply(connection, roles)

    def may_read(self, connection: sa.Connection, table: str) -> bool:
        name = sa.func.to_regclass(sa.func.quote_ident(table))
        return connection.scalar(sa.select(sa.func.has_table_privilege(name, "SELECT"))) is not False


class AsyncpgTransaction(Transaction):
    async def _commit(self) -> None:
        if await self.connection.driver.execute("COMMIT") != "COMMIT":
            raise StorageFailed  # a statement had failed and nobody said so

    async def _roll_back(self) -> None:
        if not self.connection.driver.is_closed():
            await self.connection.driver.execute("ROLLBACK")

    async def _close(self) -> None:
        self.connection.driver.terminate()


def beginning(tenant_id: UUID | None, *, read_only: bool, is_durable: bool) -> str:
    """The statements that a transaction begins with. The tenant is set for exactly this one."""
    statements = ["BEGIN READ ONLY" if read_only else "BEGIN"]
    if tenant_id is not None:
        statements.append(f"SET LOCAL retinue.tenant_id = '{UUID(int=tenant_id.int)}'")
    if is_durable:  # an operator may have made other commits faster than safe
        statements.append("SET LOCAL synchronous_commit = on")
    return "; ".join(statements)


def is_to_plan_anew(notes: dict[Any, Any]) -> bool:
    """PostgreSQL keeps the plan of a statement that it has seen a few times until it has looked at the tables again,
    which may take it a minute or more. A plan for tables that were next to empty may go through all rows of a tenant in
    the meantime. So each connection has its plans made anew when it is a second old, three, seven, and so on.

    Args:
        notes: of the connection.
    """
    now = monotonic()
    at, seconds = notes.setdefault(_PLANNED, (now + _PLANS_LAST_SECONDS, _PLANS_LAST_SECONDS))
    if now < at:
        return False
    notes[_PLANNED] = now + 2 * seconds, 2 * seconds
    return True


def refuse_unfinished(driver: Any) -> None:
    """Close a connection that comes back inside a transaction, and so might still have a tenant."""
    if not driver.is_closed() and driver.is_in_transaction():
        _log.error("transaction_not_ended")
        driver.terminate()


def _server_settings(command_timeout: float) -> dict[str, str]:
    milliseconds = str(int(command_timeout * 1000))
    return {
        "application_name": "retinue",
        "timezone": "UTC",
        "jit": "off",  # planning short statements would take longer than running them
        "max_parallel_workers_per_gather": "0",  # and so would starting workers
        "statement_timeout": milliseconds,
        "lock_timeout": str(min(_LOCK_SECONDS * 1000, int(milliseconds))),
        "idle_in_transaction_session_timeout": str(_IDLE_IN_TRANSACTION_SECONDS * 1000),
    }


def _watch_pool(engine: AsyncEngine) -> None:
    """Hand out living connections only. SQLAlchemy's pre-ping costs three round trips on every checkout; a connection
    that the server closed is known to be closed, and only one that was idle for long is asked.
    """

    @sa.event.listens_for(engine.sync_engine, "checkin")
    def note_use(connection: Any, record: Any) -> None:
        record.info["idle_since"] = monotonic()
        if connection is not None:
            refuse_unfinished(connection.driver_connection)

    @sa.event.listens_for(engine.sync_engine, "checkout")
    def refuse_dead(connection: Any, record: Any, _proxy: object) -> None:
        if connection.driver_connection.is_closed():
            put_aside(record)
        if monotonic() - record.info.get("idle_since", monotonic()) < _TRUSTED_IDLE_SECONDS:
            return
        try:
            connection.ping()
        except Exception as error:  # whatever it is, this connection is of no use
            put_aside(record, error)

    def put_aside(record: Any, reason: Exception | None = None) -> NoReturn:
        # SQLAlchemy would do it as well, but outside of what gives the place back if it is cancelled meanwhile.
        record.invalidate(reason)
        raise sa.exc.DisconnectionError from reason
