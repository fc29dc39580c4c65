"""The database as the rest of Retinue sees it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from contextvars import ContextVar
from types import TracebackType
from typing import Generic, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from retinue.db.dialects.base import Dialect
from retinue.db.dialects.registry import dialect_for
from retinue.db.errors import translated
from retinue.db.executor import Executor
from retinue.db.unit import OperatorUnit, Unit
from retinue.domain.errors import InternalError

__all__ = ["Database", "OperatorUnit", "Unit"]

U = TypeVar("U", bound=Unit | OperatorUnit)
_open_in: ContextVar["Database | None"] = ContextVar("retinue_open_unit", default=None)


class Database:
    """A pool of connections. Each unit is one transaction on one of them, committed on a clean exit, else rolled back.

    Inside a unit nothing else may be awaited but its repositories, and no second unit may be opened: it would wait for
    the first, on SQLite at once, on PostgreSQL as soon as the pool is empty.

    Example:
        async with database.unit(tenant_id) as unit:
            place = await unit.conversations.advance(conversation_id, 1)
            await unit.messages.add(message)
    """

    def __init__(self, engine: AsyncEngine, dialect: Dialect) -> None:
        self._engine = engine
        self._dialect = dialect

    @classmethod
    def connect(cls, url: str, *, pool_size: int = 10, command_timeout: float = 30.0) -> "Database":
        """Get ready; the first connection is made when it is needed.

        `command_timeout` in seconds bounds every statement and every wait for a connection or for a lock.

        Raises:
            ValueError: the URL is none of a database that Retinue knows.
        """
        try:
            parsed = sa.make_url(url)
        except sa.exc.ArgumentError:
            raise ValueError("the database URL cannot be read") from None
        dialect = dialect_for(parsed)
        engine = dialect.create_engine(parsed, pool_size=pool_size, command_timeout=command_timeout)
        return cls(engine, dialect)

    @property
    def is_sqlite(self) -> bool:
        return self._dialect.scheme == "sqlite"

    def unit(
        self, tenant_id: UUID, *, read_only: bool = False, is_durable: bool = False
    ) -> AbstractAsyncContextManager[Unit]:
        """One tenant's unit of work.

        With `read_only` it refuses to write, waits for no writer on SQLite, and saves two round trips on PostgreSQL.
        With `is_durable` its commit survives the loss of power on SQLite, too; see `Dialect.transaction`.

        Raises:
            Unavailable: on entering or leaving; after a failed commit nobody knows whether it took place.
        """
        return _Transaction(
            self, lambda executor: Unit(tenant_id, executor), read_only=read_only, is_durable=is_durable
        )

    def operator(self, *, read_only: bool = False) -> AbstractAsyncContextManager[OperatorUnit]:
        """A unit of work across tenants, for the operator and for housekeeping only."""
        return _Transaction(self, OperatorUnit, read_only=read_only)

    async def ping(self) -> None:
        """Raises: Unavailable, if the database does not answer."""
        async with self.operator(read_only=True) as unit:
            await unit.tenants.list(limit=1)

    async def aclose(self) -> None:
        await self._engine.dispose()


class _Transaction(Generic[U]):
    """A class rather than a generator, so that only our own errors are translated, never those of the body."""

    def __init__(
        self, database: Database, view: Callable[[Executor], U], *, read_only: bool, is_durable: bool = False
    ) -> None:
        self._database = database
        self._view = view
        self._read_only = read_only
        self._is_durable = is_durable
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> U:
        database = self._database
        if _open_in.get() is database:
            raise InternalError("A unit of work was opened inside another.")
        with translated(database._dialect):  # noqa: SLF001
            transaction = database._dialect.transaction(  # noqa: SLF001
                database._engine,  # noqa: SLF001
                read_only=self._read_only,
                is_durable=self._is_durable,
            )
            connection = await self._stack.enter_async_context(transaction)
        self._token = _open_in.set(database)
        self._unit = self._view(Executor(connection, database._dialect, read_only=self._read_only))  # noqa: SLF001
        return self._unit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _open_in.reset(self._token)
        with translated(self._database._dialect):  # noqa: SLF001
            if kind is None:
                await self._flush()
            await self._stack.__aexit__(kind, error, trace)

    async def _flush(self) -> None:
        try:
            await self._unit.flush()
        except BaseException as error:
            await self._stack.__aexit__(type(error), error, error.__traceback__)
            raise
