"""All connections of one server: how many there may be, and how they end together."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from time import monotonic
from typing import Any, Protocol

import structlog
from hypercorn.asyncio.worker_context import WorkerContext

from retinue.server.config import ServerConfig
from retinue.server.silence import Silences, Silent

CLOSE_SECONDS = 3.0
"""For connections to take their last bytes after every run has ended or was handed over."""
CANCEL_SECONDS = 1.0
"""For requests to notice that their connection was broken off, before they are cancelled."""
COMPLAINT_SECONDS = 60.0
"""Between two lines in the log that say that there is no room."""

_log = structlog.get_logger(__name__)


class Member(Silent, Protocol):
    def abort(self) -> None:
        """Break it off, whatever it still has to send."""


class Crowd:
    def __init__(self, app: Any, config: ServerConfig) -> None:
        self.app, self.config = app, config
        self.context = WorkerContext(None)
        self.silences = Silences(config.keep_alive_timeout)
        self._open: set[Member] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_empty = asyncio.Event()
        self._is_empty.set()
        self._quiet_until = 0.0

    def __len__(self) -> int:
        return len(self._open)

    def admit(self, member: Member) -> bool:
        """For one too many the longest silent one is broken off; whoever has something to ask comes again. False if
        every one is at work.
        """
        if len(self._open) >= self.config.connections and not self._make_room():
            return False
        self._open.add(member)
        self._is_empty.clear()
        self.silences.begin(member)
        return True

    def leave(self, member: Member) -> None:
        self.silences.end(member)
        self._open.discard(member)
        if not self._open:
            self._is_empty.set()

    def begin(self, work: Coroutine[Any, Any, None], note_end: Callable[["asyncio.Task[None]"], None]) -> None:
        """Carry it out in a task, which does not outlive the crowd. Whoever notes its end has to tell: see `end`."""
        task = asyncio.get_running_loop().create_task(work)
        task.add_done_callback(note_end)
        self._tasks.add(task)

    def end(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)

    def abort_all(self) -> None:
        for member in self._open:
            member.abort()

    async def close(self) -> None:
        """End with all of them, however long their clients would take."""
        await self.context.terminated.set()
        self.silences.stop()
        await self._emptied(CLOSE_SECONDS)
        self.abort_all()
        await self._emptied(CANCEL_SECONDS)
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _emptied(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._is_empty.wait()

    def _make_room(self) -> bool:
        oldest: Any = self.silences.longest()
        if oldest is None:
            self._complain()
            return False
        self.leave(oldest)
        oldest.abort()
        return True

    def _complain(self) -> None:
        if (now := monotonic()) >= self._quiet_until:
            self._quiet_until = now + COMPLAINT_SECONDS
            _log.warning("connections_full", open=len(self._open))
