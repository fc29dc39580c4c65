"""Whose turn it is on a connection: the answer's, or the next request's."""

import asyncio


class Turn:
    """As Hypercorn asks for it. Its own event costs every connection more, and whoever waits for it is forgotten when
    the connection ends: a client could have requests waiting on connections that are gone, for ever.
    """

    __slots__ = ("_is_over", "_is_set", "_waiter")

    def __init__(self) -> None:
        self._is_set = self._is_over = False
        self._waiter: asyncio.Future[None] | None = None

    def is_set(self) -> bool:
        return self._is_set

    async def clear(self) -> None:
        self._is_set = False

    async def set(self) -> None:
        self._is_set = True
        self._wake()

    async def wait(self) -> None:
        """One at a time.

        Raises:
            ConnectionResetError: there will be no next turn.
        """
        while not self._is_set and not self._is_over:
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        if self._is_over:
            raise ConnectionResetError

    def end(self) -> None:
        """The connection is closed."""
        self._is_over = True
        self._wake()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
