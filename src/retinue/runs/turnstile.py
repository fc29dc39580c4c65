"""One request per conversation at a time."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from uuid import UUID

from retinue.domain.errors import Unavailable

WAIT_SECONDS = 30.0


class Turnstile:
    """Requests that change a conversation pass one after the other.

    They would wait for its row anyway; here they wait without holding a connection to the database, so that one
    conversation that is stuck does not hold up all others.
    """

    def __init__(self) -> None:
        self._locks: dict[UUID, asyncio.Lock] = {}
        self._waiting: dict[UUID, int] = {}

    @asynccontextmanager
    async def through(self, conversation_id: UUID) -> AsyncGenerator[None, None]:
        """Hold the conversation while the body runs.

        Raises:
            Unavailable: `storage_unavailable`; those before it took longer than `WAIT_SECONDS`.
        """
        lock = self._locks.setdefault(conversation_id, asyncio.Lock())
        self._waiting[conversation_id] = self._waiting.get(conversation_id, 0) + 1
        try:
            await _acquire(lock)
            try:
                yield
            finally:
                lock.release()
        finally:
            self._waiting[conversation_id] -= 1
            if not self._waiting[conversation_id]:
                del self._locks[conversation_id], self._waiting[conversation_id]


async def _acquire(lock: asyncio.Lock) -> None:
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            await lock.acquire()
    except TimeoutError:
        detail = "Too many requests wait for this conversation."
        raise Unavailable(detail, code="storage_unavailable", headers={"Retry-After": "1"}) from None
