"""What many ask at the same time is asked once."""

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from contextlib import suppress
from typing import Any, Generic, TypeVar

V = TypeVar("V")


class Shared(Generic[V]):
    """Lets those who ask the same question share one answer.

    The asking goes on when somebody who waits for it is cancelled; an answer may be an error, for all of them.
    """

    def __init__(self) -> None:
        self._asked: dict[Hashable, asyncio.Task[V]] = {}

    async def recent(self, key: Hashable, ask: Callable[[], Awaitable[V]], keep: Callable[[V], float]) -> V:
        """An answer that is on its way, or was kept, or a new one.

        Args:
            keep: for how many seconds an answer is good enough for those who ask later.
        """
        return await asyncio.shield(self._asked.get(key) or self._ask(key, ask, keep))

    async def fresh(self, key: Hashable, ask: Callable[[], Awaitable[V]]) -> V:
        """An answer to a question that was asked after this call; what is on its way already may be too old."""
        if (older := self._asked.get(key)) is not None:
            with suppress(Exception):
                await asyncio.shield(older)
        newer = self._asked.get(key)
        return await asyncio.shield(self._ask(key, ask) if newer is None or newer is older else newer)

    def _ask(
        self, key: Hashable, ask: Callable[[], Awaitable[V]], keep: Callable[[V], float] = lambda _: 0.0
    ) -> asyncio.Task[V]:
        task = self._asked[key] = asyncio.create_task(_awaited(ask))
        task.add_done_callback(lambda done: self._answered(key, done, keep))
        return task

    def _answered(self, key: Hashable, task: asyncio.Task[V], keep: Callable[[V], float]) -> None:
        # Asking for the error here also says that somebody has seen it, should everybody be gone.
        seconds = 0.0 if task.cancelled() or task.exception() else keep(task.result())
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self._forget, key, task)
        else:
            self._forget(key, task)

    def _forget(self, key: Hashable, task: "asyncio.Task[Any]") -> None:
        if self._asked.get(key) is task:
            del self._asked[key]


async def _awaited(ask: Callable[[], Awaitable[V]]) -> V:
    return await ask()
