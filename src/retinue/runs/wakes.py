"""Waiting for news about a conversation."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import UUID


class Wakes:
    """Followers that have nothing to read wait here; whoever changes something wakes them.

    News may get lost on the way between processes, so every wait has a limit.
    """

    def __init__(self) -> None:
        self._watching: dict[UUID, set[Watch]] = defaultdict(set)

    @contextmanager
    def watch(self, conversation_id: UUID) -> Iterator["Watch"]:
        """Hear of news from now on."""
        watch = self.begin(conversation_id)
        try:
            yield watch
        finally:
            self.end(conversation_id, watch)

    def begin(self, conversation_id: UUID) -> "Watch":
        """As `watch`, until `end`."""
        watch = Watch()
        self._watching[conversation_id].add(watch)
        return watch

    def end(self, conversation_id: UUID, watch: "Watch") -> None:
        others = self._watching[conversation_id]
        others.discard(watch)
        if not others:
            del self._watching[conversation_id]

    async def wait(self, conversation_id: UUID, seconds: float) -> None:
        """Until there is news, but no longer."""
        with self.watch(conversation_id) as watch:
            await watch.wait(seconds)

    def wake(self, conversation_id: UUID) -> None:
        for watch in self._watching.get(conversation_id, ()):
            watch.news.set()

    def wake_all(self) -> None:
        for watching in self._watching.values():
            for watch in watching:
                watch.news.set()


class Watch:
    """One who watches a conversation. `begin` before looking, `wait` after: what happens in between is not missed."""

    __slots__ = ("news",)

    def __init__(self) -> None:
        self.news = asyncio.Event()

    def begin(self) -> None:
        self.news.clear()

    async def wait(self, seconds: float) -> None:
        """Until there is news since `begin`, but no longer than this."""
        try:
            async with asyncio.timeout(seconds):
                await self.news.wait()
        except TimeoutError:
            pass
