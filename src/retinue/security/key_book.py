"""What this process knows of keys and origins: read from the database, and for a moment remembered."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Hashable
from time import monotonic
from typing import Generic, TypeVar
from uuid import UUID

import structlog

from retinue.db.session import Database
from retinue.domain.access import StoredKey
from retinue.domain.errors import RetinueError

FRESH_SECONDS = 2.0
"""So long a key that was revoked elsewhere still opens something here. With the time of a request that is just being
decided it stays well below the five seconds that are promised."""
MAX_REMEMBERED = 10_000
USE_SECONDS = 60.0
"""How exact `last_used_at` is."""

_log = structlog.get_logger(__name__)
K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Memory(Generic[K, V]):
    """Answers to one question, each remembered for a moment. Bounded; who asks for the same at once waits together."""

    def __init__(self, ask: Callable[[K], Awaitable[V]], *, clock: Callable[[], float] = monotonic) -> None:
        self._ask = ask
        self._clock = clock
        self._known: OrderedDict[K, tuple[float, asyncio.Task[V]]] = OrderedDict()

    async def get(self, key: K) -> V:
        """Raises: whatever asking raises; that is not remembered."""
        now = self._clock()
        known = self._known.get(key)
        if known is None or now - known[0] >= FRESH_SECONDS or _has_failed(known[1]):
            task = asyncio.create_task(_asked(self._ask(key)), name="memory")
            # Whoever asked may be gone by then.
            task.add_done_callback(_has_failed)
            known = (now, task)
            self._known[key] = known
            self._known.move_to_end(key)
            while len(self._known) > MAX_REMEMBERED:
                self._known.popitem(last=False)
        if known[1].done():
            return known[1].result()
        # One who goes away must not take the answer from the others.
        return await asyncio.shield(known[1])

    def forget(self, key: K) -> None:
        self._known.pop(key, None)

    def forget_all(self) -> None:
        self._known.clear()


async def _asked(answer: Awaitable[V]) -> V:
    return await answer


def _has_failed(answer: "asyncio.Task[V]") -> bool:
    return answer.done() and (answer.cancelled() or answer.exception() is not None)


class KeyBook:
    """Keys by their id, and who has listed an origin."""

    def __init__(self, database: Database, clock: Callable[[], float] = monotonic) -> None:
        self._database = database
        self._clock = clock
        self._keys = Memory(self._read_key, clock=clock)
        self._listed = Memory(self._read_origin, clock=clock)
        self._used: set[UUID] = set()
        self._noted: dict[UUID, float] = {}

    async def live_key(self, key_id: UUID) -> StoredKey | None:
        """A key that was neither revoked nor expired at most `FRESH_SECONDS` ago.

        Raises:
            Unavailable, StorageFailed.
        """
        stored = await self._keys.get(key_id)
        return stored if stored is not None and stored.is_live else None

    async def live_keys(self, key_ids: Collection[UUID]) -> frozenset[UUID]:
        """Those that are neither revoked nor expired, asked in one go and not out of memory.

        Raises:
            Unavailable, StorageFailed.
        """
        async with self._database.operator(read_only=True) as unit:
            return await unit.access.live_keys(key_ids)

    async def is_listed(self, origin: str, tenant_id: UUID | None) -> bool:
        """Whether a tenant has listed an origin; null: whether any tenant has. Raises: Unavailable, StorageFailed."""
        return await self._listed.get((origin, tenant_id))

    def forget(self, key_id: UUID) -> None:
        """The key was changed here: what is remembered of it is out of date."""
        self._keys.forget(key_id)

    def forget_origins(self) -> None:
        """The origins of a tenant were changed here."""
        self._listed.forget_all()

    def note_use(self, key_id: UUID) -> None:
        """Write it down some time, not now."""
        now = self._clock()
        if now - self._noted.get(key_id, -USE_SECONDS) >= USE_SECONDS:
            if len(self._noted) >= MAX_REMEMBERED:
                self._noted.clear()
            self._noted[key_id] = now
            self._used.add(key_id)

    async def write_uses(self) -> None:
        """Write down which keys were used. Nothing is lost if the database does not take it."""
        if not (used := frozenset(self._used)):
            return
        try:
            async with self._database.operator() as unit:
                await unit.access.note_use(used)
        except RetinueError as error:
            _log.warning("key_uses_not_written", code=error.problem_code)
        else:
            self._used -= used

    async def _read_key(self, key_id: UUID) -> StoredKey | None:
        async with self._database.operator(read_only=True) as unit:
            return await unit.access.key(key_id)

    async def _read_origin(self, asked: tuple[str, UUID | None]) -> bool:
        async with self._database.operator(read_only=True) as unit:
            return await unit.access.lists_origin(*asked)


async def keep_writing_uses(book: KeyBook) -> None:
    """Until cancelled. Survives whatever goes wrong."""
    while True:
        await asyncio.sleep(USE_SECONDS / 4)
        try:
            await book.write_uses()
        except Exception:
            _log.exception("key_uses_not_written")
