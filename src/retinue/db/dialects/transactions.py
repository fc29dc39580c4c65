"""Transactions on a driver's own connection; SQLAlchemy knows nothing of them: so BEGIN and what belongs to it go in
one round trip.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from retinue.db.connection import Connection

ROLLBACK_SECONDS = 5.0


class Transaction(ABC):
    """Has a connection, which goes back to its pool however the transaction ends.

    Whatever happens but a commit that was answered, also on the way in, it is rolled back, or the connection is closed,
    which comes to the same. It is ended once.
    """

    def __init__(self, connection: Connection, at_end: Callable[[], None] | None = None) -> None:
        """
        Args:
            at_end: called when it is over, after the connection went back.
        """
        self.connection = connection
        self._at_end = at_end

    async def begin(self, *statements: str) -> None:
        try:
            for statement in statements:
                await self.connection.driver.execute(statement)
        except BaseException:
            await self.roll_back()
            raise

    async def commit(self) -> None:
        """If it raises, nobody knows whether it took place."""
        try:
            await self._commit()
        except BaseException:
            await self.roll_back()
            raise
        self._end()

    async def roll_back(self) -> None:
        """Raises nothing of the database's."""
        try:
            if self.connection.is_open:
                await self._try_to_roll_back()
        finally:
            self._end()

    async def _try_to_roll_back(self) -> None:
        try:
            async with asyncio.timeout(ROLLBACK_SECONDS):
                await self._roll_back()
        except Exception:
            await self._close()
        except BaseException:
            await self._close()
            raise

    def _end(self) -> None:
        try:
            self.connection.give_back()
        finally:
            if self._at_end is not None:
                self._at_end()

    @abstractmethod
    async def _commit(self) -> None: ...

    @abstractmethod
    async def _roll_back(self) -> None: ...

    @abstractmethod
    async def _close(self) -> None:
        """Close the connection at once."""


class SingleStatements(Transaction):
    """None at all: each statement is a transaction of its own."""

    async def _commit(self) -> None:
        pass

    async def _roll_back(self) -> None:
        pass

    async def _close(self) -> None:
        pass
