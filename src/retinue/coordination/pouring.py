"""Events that go to a follower without waking its task."""

import asyncio
from collections.abc import Callable

from retinue.coordination.base import Batch, Sink
from retinue.domain.ids import Position

Look = Callable[[Position], Batch | None]


class Pouring:
    """Gives a follower's sink what there is: at once, or in the turn of the loop after the one that published it, so
    that what was published together leaves together. Nobody who publishes waits for a follower.
    """

    __slots__ = ("_after", "_alarm", "_is_due", "_look", "_loop", "_refused", "_sink", "_taken_at")

    def __init__(self, look: Look, after: Position, sink: Sink) -> None:
        self._look, self._after, self._sink = look, after, sink
        self._loop = asyncio.get_running_loop()
        self._refused: asyncio.Future[Batch | None] = self._loop.create_future()
        self._is_due = False
        self._alarm: asyncio.TimerHandle | None = None
        self._taken_at = 0.0

    def wake(self, at_once: bool = False) -> None:
        """There may be more."""
        if at_once:
            self._pour()
        elif not self._is_due:
            self._is_due = True
            self._loop.call_soon(self._pour)

    async def refused(self, patience: float | None) -> Batch | None:
        """What the sink did not take or could not be given; None when nothing has come for so many seconds."""
        if patience is not None:
            self._taken_at = self._loop.time()
            self._watch(patience)
        try:
            self._pour()
            return await self._refused
        finally:
            if self._alarm is not None:
                self._alarm.cancel()

    def _pour(self) -> None:
        self._is_due = False
        if self._refused.done():
            return
        try:
            while (batch := self._look(self._after)) is not None:
                if not batch.events or not self._sink(batch.events):
                    self._refused.set_result(batch)
                    return
                self._after = batch.events[-1].position
                if self._alarm is not None:
                    self._taken_at = self._loop.time()
        except Exception as error:
            self._refused.set_exception(error)

    def _watch(self, patience: float) -> None:
        """One alarm for many events: it goes off again if there were any."""
        left = self._taken_at + patience - self._loop.time()
        if left > 0:
            self._alarm = self._loop.call_later(left, self._watch, patience)
        elif not self._refused.done():
            self._refused.set_result(None)
