"""What a database must be able to do, where databases differ."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar, TypeVar
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncEngine

from retinue.db.changes import Outcome
from retinue.db.connection import Connection
from retinue.db.dialects.transactions import Transaction
from retinue.db.prepared import Prepared
from retinue.db.row_security import Roles
from retinue.db.scripts import Commit, Course, Parts, Query
from retinue.db.tables import Base

Insert = sqlite.Insert | postgresql.Insert
"""An insert with `on_conflict_do_nothing` and `on_conflict_do_update`, which look alike on both."""

R = TypeVar("R")

SECONDS_BEFORE_1970 = 62_135_596_800
"""Since the first moment that Python can tell."""


class Dialect(ABC):
    """One database. An instance belongs to one `Database`."""

    prepared: dict[object, Prepared]
    """The statements that were built for it, by what they were built of."""

    scheme: ClassVar[str]
    """Of the URLs it serves."""
    has_roles: ClassVar[bool] = False
    """Whether it keeps tenants apart by itself: then what is not about one tenant is asked as another user."""

    def __init__(self) -> None:
        self.prepared = {}

    @abstractmethod
    def create_engine(
        self, url: sa.URL, *, pool_size: int, command_timeout: float, migrates: bool = False
    ) -> AsyncEngine:
        """An engine that opens no connection yet."""

    @abstractmethod
    async def begin(
        self, engine: AsyncEngine, *, tenant_id: UUID | None, read_only: bool, is_durable: bool
    ) -> Transaction:
        """Take a connection and begin a transaction on it.

        Args:
            tenant_id: whose rows there are in it, where the database keeps tenants apart; None for a user who sees all.
            is_durable: the commit must survive the loss of power, too, whatever it costs.
        """

    @abstractmethod
    async def fetch(self, connection: Connection, sql: str, arguments: Sequence[Any]) -> Iterable[Sequence[Any]]:
        """Ask the connection's driver."""

    @abstractmethod
    async def change(self, connection: Connection, sql: str, arguments: Sequence[Any]) -> int:
        """Have the connection's driver insert, update or delete; how many rows."""

    async def plan_once(self, connection: Connection) -> None:  # noqa: B027
        """Plan the statements of this transaction without a look at their values, and so once for each connection."""

    @abstractmethod
    async def together(self, connection: Connection, parts: Parts) -> Sequence[Outcome]:
        """Have the connection's driver carry out several changes; see `Executor.together`."""

    async def perform(self, connection: Connection, course: Course[R]) -> R:
        """Carry out a script. Where it is told to commit, it may leave that to the transaction."""
        found: Any = None
        try:
            while True:
                match course.send(found):
                    case Query(sql, arguments):
                        found = await self.fetch(connection, sql, arguments)
                    case Commit():
                        pass
                    case parts:
                        found = await self.together(connection, parts)
        except StopIteration as end:
            result: R = end.value
            return result

    @abstractmethod
    def clock(self) -> sa.ColumnElement[datetime]:
        """The database's present time, not the transaction's begin."""

    @abstractmethod
    def clock_after(self, seconds: float) -> sa.ColumnElement[datetime]:
        """The database's present time and some seconds more."""

    @abstractmethod
    def search_clock_after(self, seconds: float) -> sa.ColumnElement[datetime]:
        """The same as it was when the statement began, so that an index can be searched for it. Who has to compare
        after waiting for a lock needs the other.
        """

    @abstractmethod
    def day(self, column: Any) -> sa.ColumnElement[str]:
        """The day of UTC that a moment is in, as `2026-11-20`."""

    @abstractmethod
    def seconds(self, column: Any) -> sa.ColumnElement[int]:
        """The whole seconds from the first moment that can be told to a moment. Never negative."""

    @abstractmethod
    def members(self, values: Any, kind: type[sa.types.TypeEngine[Any]]) -> sa.TableValuedAlias:
        """The members of a list, which may be a parameter, as a table with one column `value`."""

    @abstractmethod
    def of_each(
        self, members: sa.TableValuedAlias, rows: Callable[[Any], sa.Select[Any]], table: type[Base]
    ) -> sa.Select[Any]:
        """The rows of a table that belong to such members, looked up for one member after the other.

        Args:
            rows: selects those that belong to the member `members.c.value`, from the table or from an alias of it.
        """

    @abstractmethod
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
        """For each member the first rows of a table by a key that is unique among them, all of them found by an index.

        Args:
            rows: as in `of_each`.
            among: what must be so of the key.
        """

    @abstractmethod
    def try_lock(self, number: int) -> sa.ColumnElement[bool]:
        """Whether no other transaction has this lock: then this one has it to its end."""

    @abstractmethod
    def utf8(self, column: Any) -> sa.ColumnElement[bytes]:
        """The bytes of a column of text, also of text that is damaged and could not be read."""

    @abstractmethod
    def insert(self, table: type[Base]) -> Insert:
        """An insert that can be told what to do about a row that is already there."""

    @abstractmethod
    def is_outage(self, error: BaseException) -> bool:
        """Whether the same call may succeed later."""

    @abstractmethod
    def is_refusal(self, error: BaseException) -> bool:
        """Whether a constraint forbids it. This and the next two are asked about the driver's own errors."""

    @abstractmethod
    def is_missing_reference(self, error: BaseException) -> bool:
        """Whether a foreign key found no row."""

    @abstractmethod
    def violated_key(self, error: BaseException) -> str | None:
        """The name of the violated unique constraint or index."""

    async def scrub(self, engine: AsyncEngine) -> bool:  # noqa: ARG002
        """Overwrite what deleted rows have left in the database's files. False where this is not done here, because the
        database does so itself in time, or because it would take too long.

        Raises:
            Unavailable: not now.
        """
        return False

    def prepare_migration(self, connection: sa.Connection) -> None:  # noqa: B027
        """Keep other processes from migrating until the transaction ends, where beginning it does not do so."""

    def check_migration(self, connection: sa.Connection) -> None:  # noqa: B027
        """Look at what a migration did before it is committed."""

    def secure(self, connection: sa.Connection, roles: Roles | None) -> None:  # noqa: B027
        """Let these roles serve the newest schema, and nobody else, where the database knows roles."""

    def may_read(self, connection: sa.Connection, table: str) -> bool:  # noqa: ARG002
        """Whether this user may read the table, or could if it were there."""
        return True

    @property
    def migration_options(self) -> Mapping[str, Any]:
        """What alembic must know."""
        return {}
