"""How long connections may be silent between two requests."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from hypercorn.asyncio.worker_context import AsyncioSingleTask, WorkerContext

Close = Callable[[], Coroutine[Any, Any, None]]


class Silences:
    """The silent connections of one server, and the one task that closes those that are silent for too long, and all of
    them when the server stops. Each has the same time, so that the first one to be silent is the first one to end.
    """

    _of: ClassVar[WeakKeyDictionary[WorkerContext, "Silences"]] = WeakKeyDictionary()

    def __init__(self, context: WorkerContext, seconds: float) -> None:
        self._stopped = context.terminated
        self._seconds = seconds
        self._since: dict[Silence, tuple[float, Close]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._loop = asyncio.get_running_loop()
        self._watch = self._loop.create_task(self._keep(), name="silences")

    @classmethod
    def of(cls, context: WorkerContext, seconds: float) -> "Silences":
        if (known := cls._of.get(context)) is None:
            known = cls._of[context] = cls(context, seconds)
        return known

    def begin(self, silence: "Silence", close: Close) -> None:
        self.end(silence)
        self._since[silence] = (self._loop.time(), close)
        if self._stopped.is_set():
            self._close_until(self._loop.time())

    def end(self, silence: "Silence") -> None:
        self._since.pop(silence, None)

    async def _keep(self) -> None:
        """Nobody who is silent from now on has to be closed before all that were silent at the beginning."""
        while not self._stopped.is_set():
            since, _ = next(iter(self._since.values()), (self._loop.time(), None))
            try:
                async with asyncio.timeout_at(since + self._seconds):
                    await self._stopped.wait()
            except TimeoutError:
                self._close_until(self._loop.time() - self._seconds)
        self._close_until(self._loop.time())

    def _close_until(self, latest: float) -> None:
        """Close those that were silent already then."""
        for silence, (since, close) in list(self._since.items()):
            if since > latest:
                return
            self.end(silence)
            closing = self._loop.create_task(close())
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)


class Silence(AsyncioSingleTask):
    """Of one connection, as Hypercorn asks for it: its own is a task that begins and ends with every request."""

    def __init__(self, silences: Silences) -> None:
        self._silences = silences

    async def restart(self, task_group: Any, action: Close) -> None:
        del task_group
        self._silences.begin(self, action)

    async def stop(self) -> None:
        self._silences.end(self)
