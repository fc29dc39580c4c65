"""A connection of the pool, for as long as a unit needs it."""

from typing import Any, Self

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn


class Connection:
    """What a unit asks goes to the driver as it is; SQLAlchemy's own connection is put around it only for statements
    that are not prepared. Transactions are begun and ended on the driver: SQLAlchemy knows of none.
    """

    __slots__ = ("_engine", "_pooled", "_sqlalchemy", "driver", "is_committed", "opening")

    def __init__(self, engine: AsyncEngine, pooled: PoolProxiedConnection) -> None:
        self._engine = engine
        self._pooled = pooled
        self._sqlalchemy: AsyncConnection | None = None
        self.driver: Any = pooled.driver_connection
        """The driver's own."""
        self.opening: str | None = None
        """What is still to be executed before anything else: it may go together with what comes first."""
        self.is_committed = False
        """Whether the transaction has ended well before it was told to."""

    async def open(self) -> None:
        """Have it executed now."""
        if (opening := self.take_opening()) is not None:
            await self.driver.execute(opening)

    def take_opening(self) -> str | None:
        """For whoever executes it, or knows that it is not needed any more."""
        opening, self.opening = self.opening, None
        return opening

    @classmethod
    async def taken(cls, engine: AsyncEngine) -> Self:
        """One of the pool's, as soon as it has one."""
        return cls(engine, await engine.raw_connection())

    @property
    def dialect(self) -> sa.Dialect:
        return self._engine.dialect

    @property
    def is_open(self) -> bool:
        """Whether nobody has found out that it is of no use any more."""
        return self._pooled.is_valid

    @property
    def notes(self) -> dict[Any, Any]:
        """What is to be remembered about it for as long as it is open."""
        return self._pooled.info

    @property
    def sqlalchemy(self) -> AsyncConnection:
        """The same connection, as SQLAlchemy sees it."""
        if self._sqlalchemy is None:
            around = sa.Connection(self._engine.sync_engine, connection=self._pooled)
            self._sqlalchemy = AsyncConnection(self._engine, around)
        return self._sqlalchemy

    async def invalidate(self) -> None:
        """Close it: nobody knows in which state it is. The pool opens another one in its place."""
        if self._pooled.is_valid:
            await greenlet_spawn(self._pooled.invalidate)

    def give_back(self) -> None:
        """To the pool. It must not be inside a transaction, or it is closed there."""
        self._pooled.close()
