"""Who was let in is let out again when their credentials end: streams stay open for a long time."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from types import TracebackType
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

    def over(self, principal: Any) -> AbstractAsyncContextManager[None]:
        """Hold a stream while the body runs. Streams of those who have no key of a tenant are not looked after.

        Raises:
            AccessEnded: the credentials have ended. The body is cancelled before.
        """
        if not isinstance(principal, Principal) or principal.key_id is None:
            return nullcontext()
        return _Held(self._open, principal)

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


class _Held(AbstractAsyncContextManager[None]):
    """A generator would have to be known to the event loop for every stream."""

    __slots__ = ("_fuse", "_open", "_principal")

    def __init__(self, streams: dict[asyncio.Timeout, Principal], principal: Principal) -> None:
        self._open, self._principal = streams, principal

    async def __aenter__(self) -> None:
        self._fuse = await asyncio.timeout(None).__aenter__()
        self._open[self._fuse] = self._principal

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.pop(self._fuse, None)
        try:
            await self._fuse.__aexit__(kind, error, trace)
        except TimeoutError as end:
            error = end
        if isinstance(error, TimeoutError) and self._fuse.expired():
            raise AccessEnded from None
