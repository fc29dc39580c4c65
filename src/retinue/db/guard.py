"""A process's place among those that serve one database.

Processes that share nothing but the database would not hear each other: two of them may serve it only if both take part
in the same coordination. Who cannot share needs the database for itself, and is refused while anybody else serves it.
"""

import asyncio
import fcntl
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Literal

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from retinue.db.dialects.registry import dialect_for
from retinue.db.errors import DRIVER_ERRORS, translated
from retinue.domain.errors import RetinueError

Trouble = Literal["database", "not_alone"]

PATIENCE_SECONDS = 2.0
"""For the place of a process that is just ending, when this one starts."""
RETRY_SECONDS = 0.25
CHECK_SECONDS = 5.0
"""Between two looks at a connection that says nothing."""
COMMAND_SECONDS = 5.0

_PLACE = 0x52544E0001  # any number that no other user of the database takes
_KEEPALIVE = {"tcp_keepalives_idle": "10", "tcp_keepalives_interval": "5", "tcp_keepalives_count": "3"}
"""How soon PostgreSQL notices that the machine of a process is gone, and gives its place away."""

_log = structlog.get_logger(__name__)


class AlreadyServed(RetinueError):
    """Another process serves this database, and the two cannot do so together."""


class Guard(ABC):
    """Holds a place. The kernel or the database lets go of it however the process ends."""

    @property
    @abstractmethod
    def trouble(self) -> Trouble | None:
        """`database`: the place may be lost, because the database does not answer. `not_alone`: another one has it."""

    @abstractmethod
    async def take(self) -> None:
        """Take the place.

        Raises:
            AlreadyServed: somebody else has it.
            Unavailable: the database cannot be reached.
        """

    @abstractmethod
    async def keep(self) -> None:
        """Until cancelled: take the place again whenever it was lost."""

    @abstractmethod
    async def aclose(self) -> None:
        """Give the place up."""


@asynccontextmanager
async def guarded(url: str, *, is_shared: bool) -> AsyncIterator[Guard]:
    """Hold a place while the body runs. `is_shared`: beside any number of others that share as well.

    Raises:
        AlreadyServed, Unavailable: see `Guard.take`.
    """
    guard: Guard = PostgreSQLGuard(url, is_shared=is_shared)
    if url.startswith("sqlite"):
        guard = SQLiteGuard(Path(sa.make_url(url).database or ""))
    try:
        await guard.take()
        keeper = asyncio.create_task(guard.keep(), name="guard")
        try:
            yield guard
        finally:
            keeper.cancel()
            with suppress(asyncio.CancelledError):
                await keeper
    finally:
        await guard.aclose()


class SQLiteGuard(Guard):
    """A lock on a file beside the database. Nobody shares, whatever the coordination."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._file: BinaryIO | None = None

    @property
    def trouble(self) -> Trouble | None:
        return None

    async def take(self) -> None:
        self._file = self._database.with_name(f"{self._database.name}.lock").open("wb")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyServed(
                f"Another process serves {self._database}. SQLite is for one process; use PostgreSQL for more."
            ) from None

    async def keep(self) -> None:
        """Nobody can take it away."""

    async def aclose(self) -> None:
        if self._file is not None:
            self._file.close()


class PostgreSQLGuard(Guard):
    """An advisory lock of a session, on a connection of its own that is watched."""

    def __init__(self, url: str, *, is_shared: bool) -> None:
        parsed = sa.make_url(url)
        self._is_shared = is_shared
        self._dialect = dialect_for(parsed)
        self._engine = self._dialect.create_engine(parsed, pool_size=1, command_timeout=COMMAND_SECONDS)
        self._connection: AsyncConnection | None = None
        self._session: dict[str, Any] | None = None
        self._is_lost = asyncio.Event()
        self._trouble: Trouble | None = None

    @property
    def trouble(self) -> Trouble | None:
        return "database" if self._is_lost.is_set() and self._trouble is None else self._trouble

    async def take(self) -> None:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE_SECONDS
        with translated(self._dialect):
            while not await self._try():
                if loop.time() > deadline:
                    raise AlreadyServed(self._refusal())
                await asyncio.sleep(RETRY_SECONDS)

    async def keep(self) -> None:
        while True:
            await self._until_lost()
            self._trouble = "database"
            _log.warning("place_lost")
            await self._take_again()
            self._trouble = None
            _log.info("place_taken_again")

    async def aclose(self) -> None:
        await self._disconnect()
        await self._engine.dispose()

    def _refusal(self) -> str:
        if self._is_shared:
            return (
                "A process with memory:// serves this database, and could not be heard. Stop it, or give it the same "
                "RETINUE_COORDINATION_URL (redis://…) as this one."
            )
        return (
            "Another process serves this database, and with memory:// it could not be heard. Stop it, or give every "
            "process the same RETINUE_COORDINATION_URL (redis://…)."
        )

    async def _until_lost(self) -> None:
        while not self._is_lost.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(CHECK_SECONDS):
                    await self._is_lost.wait()
            if not self._is_lost.is_set() and not await self._answers():
                self._is_lost.set()

    async def _answers(self) -> bool:
        assert self._connection is not None
        try:
            await self._connection.execute(sa.select(1))
        except Exception as error:
            _log.debug("place_not_seen", exc_info=not isinstance(error, DRIVER_ERRORS))
            return False
        return True

    async def _take_again(self) -> None:
        while True:
            try:
                if await self._try():
                    return
                if self._trouble != "not_alone":
                    _log.error("place_taken_by_another", reason=self._refusal())
                self._trouble = "not_alone"
            except Exception as error:
                _log.debug("place_not_taken", exc_info=not isinstance(error, DRIVER_ERRORS))
                self._trouble = "database"
            await asyncio.sleep(RETRY_SECONDS)

    async def _try(self) -> bool:
        """Whether a session could be opened that has the place. Leaves none open that has not."""
        await self._disconnect()
        is_ours = False
        connection = await self._engine.connect()
        try:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            await self._end_own_past(connection)
            is_ours = bool(await connection.scalar(sa.select(self._lock())))
            if is_ours:
                await self._settle_on(connection)
        finally:
            if not is_ours:
                await connection.invalidate()
                await connection.close()
        return is_ours

    def _lock(self) -> sa.ColumnElement[bool]:
        return sa.func.pg_try_advisory_lock_shared(_PLACE) if self._is_shared else sa.func.pg_try_advisory_lock(_PLACE)

    async def _settle_on(self, connection: AsyncConnection) -> None:
        for name, value in _KEEPALIVE.items():
            await connection.execute(sa.select(sa.func.set_config(name, value, False)))
        self._session = dict((await connection.execute(_OWN_SESSION)).mappings().one())
        driver: Any = (await connection.get_raw_connection()).driver_connection
        driver.add_termination_listener(lambda _: self._note_end(connection))
        self._connection = connection
        self._is_lost.clear()

    def _note_end(self, connection: AsyncConnection) -> None:
        if connection is self._connection:
            self._is_lost.set()

    async def _end_own_past(self, connection: AsyncConnection) -> None:
        """Where only the network broke, PostgreSQL may not know yet that nobody is behind the old session."""
        if self._session is not None:
            await connection.execute(_END_SESSION, self._session)

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*DRIVER_ERRORS):
                await connection.invalidate()
                await connection.close()


_OWN_SESSION = sa.text("SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()")
_END_SESSION = sa.text(
    "SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity WHERE pid = :pid AND backend_start = :backend_start"
)
