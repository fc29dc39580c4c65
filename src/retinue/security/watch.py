"""Who was let in is let out again when their credentials end: streams stay open for a long time."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog

from retinue.domain.errors import AccessEnded, RetinueError
from retinue.domain.ids import now
from retinue.security.key_book import KeyBook
from retinue.security.principal import Principal

CHECK_SECONDS = 15.0
"""Between two looks; sixty seconds are promised."""

_log = structlog.get_logger(__name__)


class StreamWatch:
    """Looks after the open streams of this process, all of them at once."""

    def __init__(self, book: KeyBook, clock: Callable[[], datetime] = now) -> None:
        self._book = book
        self._clock = clock
        self._open: dict[asyncio.Timeout, Principal] = {}

    @asynccontextmanager
    async def over(self, principal: Any) -> AsyncGenerator[None, None]:
        """Hold a stream while the body runs. Streams of those who have no key of a tenant are not looked after.

        Raises:
            AccessEnded: the credentials have ended. The body is cancelled before.
        """
        if not isinstance(principal, Principal) or principal.key_id is None:
            yield
            return
        fuse = asyncio.timeout(None)
        try:
            async with fuse:
                self._open[fuse] = principal
                try:
                    yield
                finally:
                    self._open.pop(fuse, None)
        except TimeoutError:
            if fuse.expired():
                raise AccessEnded from None
            raise

    async def keep(self) -> None:
        """Until cancelled. Survives whatever goes wrong."""
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self.look()
            except Exception as error:
                _log.warning("credentials_not_checked", exc_info=not isinstance(error, RetinueError))

    async def look(self) -> None:
        """Let go of every stream whose credentials have ended: first, without asking anybody, those of expired tokens.

        Raises:
            Unavailable, StorageFailed: nobody knows about the keys.
        """
        at = self._clock()
        self._let_go(lambda principal: principal.expires_at is not None and principal.expires_at <= at)
        asked = frozenset(principal.key_id for principal in self._open.values() if principal.key_id is not None)
        if ended := asked - await self._live(asked):
            self._let_go(lambda principal: principal.key_id in ended)

    async def _live(self, key_ids: frozenset[UUID]) -> frozenset[UUID]:
        return await self._book.live_keys(key_ids) if key_ids else key_ids

    def _let_go(self, has_ended: Callable[[Principal], bool]) -> None:
        for fuse in [fuse for fuse, principal in self._open.items() if has_ended(principal)]:
            # Only once: a stream may take its time to unwind.
            del self._open[fuse]
            fuse.reschedule(asyncio.get_running_loop().time())
