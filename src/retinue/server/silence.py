"""How long connections may be silent between two requests."""

import asyncio
from typing import Protocol


class Silent(Protocol):
    def close_silent(self) -> None:
        """It has been silent for too long, or the server stops."""


class Silences:
    """The silent connections of one server, and the one timer that closes those that are silent for too long. Each has
    the same time, so that the first one to be silent is the first one to end.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[Silent, float] = {}
        self._loop = asyncio.get_running_loop()
        self._next: asyncio.TimerHandle | None = None
        self._is_over = False

    def begin(self, silent: Silent) -> None:
        self.end(silent)
        if self._is_over:
            silent.close_silent()
            return
        self._since[silent] = self._loop.time()
        if self._next is None:
            self._next = self._loop.call_later(self._seconds, self._look)

    def end(self, silent: Silent) -> None:
        self._since.pop(silent, None)

    def longest(self) -> Silent | None:
        """Who has been silent for longest, if anybody is."""
        return next(iter(self._since), None)

    def stop(self) -> None:
        """Close all of them now, and whoever is silent later at once."""
        self._is_over = True
        if self._next is not None:
            self._next.cancel()
        for silent in [*self._since]:
            self._close(silent)

    def _look(self) -> None:
        self._close_until(self._loop.time() - self._seconds)
        first = next(iter(self._since.values()), None)
        self._next = None if first is None else self._loop.call_at(first + self._seconds, self._look)

    def _close_until(self, latest: float) -> None:
        """Close those that were silent already then."""
        for silent, since in [*self._since.items()]:
            if since > latest:
                return
            self._close(silent)

    def _close(self, silent: Silent) -> None:
        self.end(silent)
        silent.close_silent()
