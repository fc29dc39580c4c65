"""The database as the rest of Retinue sees it."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from contextvars import ContextVar
from types import TracebackType
from typing import Generic, Self, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from retinue.db.dialects.base import Dialect
from retinue.db.dialects.registry import dialect_for
from retinue.db.errors import DRIVER_ERRORS, domain_error, translated
from retinue.db.executor import Executor
from retinue.db.repositories.idempotency import OPERATOR
from retinue.db.unit import OperatorUnit, Unit
from retinue.domain.errors import InternalError

__all__ = ["Database", "OperatorUnit", "Unit"]

U = TypeVar("U", bound=Unit | OperatorUnit)
_open_in: ContextVar["Database | None"] = ContextVar("retinue_open_unit", default=None)


class Database:
    """Connections. Each unit is one transaction on one of them, committed on a clean exit, else rolled back.

    On PostgreSQL there are two pools, each of a user of its own: one tenant's unit runs as the one who sees no other
    tenant, and what is not about one tenant as the other.

    Inside a unit nothing else may be awaited but its repositories, and no second unit may be opened: it would wait for
    the first, on SQLite at once, on PostgreSQL as soon as the pool is empty.

    Example:
        async with database.unit(tenant_id) as unit:
            place = await unit.conversations.advance(conversation_id, 1)
            await unit.messages.add(message)
    """

    def __init__(self, engine: AsyncEngine, dialect: Dialect, jobs: AsyncEngine | None = None) -> None:
        self._engine = engine
        self._jobs = jobs or engine
        self._dialect = dialect

    @classmethod
    def connect(
        cls,
        url: str,
        *,
        jobs_url: str = "",
        pool_size: int = 10,
        jobs_pool_size: int = 3,
        command_timeout: float = 30.0,
    ) -> Self:
        """Get ready; the first connection is made when it is needed.

        Args:
            jobs_url: on PostgreSQL, the same database for the user who sees all tenants; else empty.
            command_timeout: bounds every statement and every wait for a connection or for a lock, in seconds.

        Raises:
            ValueError: the URLs are none of a database that Retinue knows.
        """
        parsed = _parsed(url)
        dialect = dialect_for(parsed)
        if dialect.has_roles is not bool(jobs_url):
            raise ValueError("PostgreSQL, and nothing else, needs a second URL, for the user who sees all tenants")
        engine = dialect.create_engine(parsed, pool_size=pool_size, command_timeout=command_timeout)
        if not jobs_url:
            return cls(engine, dialect)
        jobs = _parsed(jobs_url)
        if type(dialect_for(jobs)) is not type(dialect):
            raise ValueError("both URLs must be of the same database")
        return cls(
            engine, dialect, dialect.create_engine(jobs, pool_size=jobs_pool_size, command_timeout=command_timeout)
        )

    @property
    def is_sqlite(self) -> bool:
        return self._dialect.scheme == "sqlite"

    def connections(self) -> tuple[int, int]:
        """How many are in use, and how many there may be at most."""
        pools = [pool for engine in {self._engine, self._jobs} if isinstance(pool := engine.pool, sa.QueuePool)]
        return sum(pool.checkedout() for pool in pools), sum(pool.size() for pool in pools)

    def unit(
        self, tenant_id: UUID, *, read_only: bool = False, is_durable: bool = False
    ) -> AbstractAsyncContextManager[Unit]:
        """One tenant's unit of work.

        With `read_only` it refuses to write, and waits for no writer on SQLite.
        With `is_durable` its commit survives the loss of power on SQLite, too; see `Dialect.transaction`.

        Raises:
            Unavailable: on entering, on leaving, and on SQLite with the first statement, which begins the transaction;
                after a failed commit nobody knows whether it took place.
        """
        return _Transaction(
            self,
            lambda executor: Unit(tenant_id, executor),
            tenant_id=tenant_id,
            read_only=read_only,
            is_durable=is_durable,
        )

    def operator(self, *, read_only: bool = False) -> AbstractAsyncContextManager[OperatorUnit]:
        """A unit of work across tenants, for the operator and for housekeeping only. With `read_only` each statement is
        one round trip on PostgreSQL, which sees what was committed before it.
        """
        return _Transaction(self, OperatorUnit, tenant_id=None, read_only=read_only)

    async def ping(self) -> None:
        """Raises: Unavailable, if the database does not answer, to either of its users."""
        async with self.operator(read_only=True) as operator:
            await operator.tenants.list(limit=1)
        if self._jobs is not self._engine:
            async with self.unit(OPERATOR, read_only=True) as unit:
                await unit.clock()

    async def scrub(self) -> bool:
        """Overwrite what deleted rows have left in the database's files; see `Dialect.scrub`.

        Raises:
            Unavailable: not now.
        """
        with translated(self._dialect):
            return await self._dialect.scrub(self._engine)

    async def aclose(self) -> None:
        await self._engine.dispose()
        if self._jobs is not self._engine:
            await self._jobs.dispose()


def _parsed(url: str) -> sa.URL:
    try:
        return sa.make_url(url)
    except sa.exc.ArgumentError:
        raise ValueError("the database URL cannot be read") from None


class _Transaction(Generic[U]):
    """A class rather than a generator, so that only our own errors are translated, never those of the body."""

    def __init__(
        self,
        database: Database,
        view: Callable[[Executor], U],
        *,
        tenant_id: UUID | None,
        read_only: bool,
        is_durable: bool = False,
    ) -> None:
        self._database = database
        self._view = view
        self._tenant_id = tenant_id
        self._read_only = read_only
        self._is_durable = is_durable

    async def __aenter__(self) -> U:
        database, dialect = self._database, self._database._dialect  # noqa: SLF001
        if _open_in.get() is database:
            raise InternalError("A unit of work was opened inside another.")
        try:
            self._transaction = await dialect.begin(
                database._jobs if self._tenant_id is None else database._engine,  # noqa: SLF001
                tenant_id=self._tenant_id,
                read_only=self._read_only,
                is_durable=self._is_durable,
            )
        except DRIVER_ERRORS as error:
            raise domain_error(error, dialect) from error
        self._token = _open_in.set(database)
        self._unit = self._view(Executor(self._transaction.connection, dialect, read_only=self._read_only))
        return self._unit

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _open_in.reset(self._token)
        try:
            if kind is not None:
                await self._transaction.roll_back()
                return
            await self._flush()
            await self._transaction.commit()
        except DRIVER_ERRORS as failure:
            raise domain_error(failure, self._database._dialect) from failure  # noqa: SLF001
        for tell in vars(self._unit).get("after_commit", ()):
            tell()

    async def _flush(self) -> None:
        try:
            await self._unit.flush()
        except BaseException:
            await self._transaction.roll_back()
            raise
