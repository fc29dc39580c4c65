"""Alarms that hardly ever ring.

A stream has several times that it does not mean to reach: of its run, of its model's next word, of its next comment. A
timer of the event loop holds 670 bytes for as long as it waits (uvloop 0.23). Here all share one, and each holds a
quarter of that.
"""

import asyncio
from heapq import heapify, heappop, heappush
from itertools import count
from types import TracebackType
from typing import Any, Self

_FEW = 64
"""So many entries of alarms that were turned off may stay in any case; else no more than of those that wait."""
_ALARM = 2
_Entry = list[Any]
"""Time, number and alarm; None instead of one that was turned off. Numbers differ, so that alarms are not compared."""


class Alarm:
    """Rings once at its time, unless it is set to another one or turned off before. It rings in the event loop in which
    it was set, and never early by that loop's clock.
    """

    __slots__ = ("_clock", "_entry")

    def __init__(self) -> None:
        self._clock: _Clock | None = None
        self._entry: _Entry | None = None

    def ring(self) -> None:
        """It is time."""
        raise NotImplementedError

    @property
    def at(self) -> float | None:
        """When it rings, in the event loop's time; None if it is not set."""
        return None if self._entry is None else self._entry[0]

    def set(self, at: float) -> None:
        """
        Args:
            at: in the event loop's time.
        """
        self.turn_off()
        self._clock = _clock()
        self._entry = self._clock.add(at, self)

    def set_in(self, seconds: float) -> None:
        self.set(asyncio.get_running_loop().time() + seconds)

    def turn_off(self) -> None:
        """Harmless if it is not set."""
        if (entry := self._entry) is not None and self._clock is not None:
            entry[_ALARM] = self._entry = None  # nothing that is over is kept alive by it
            self._clock.forget_one()

    def go_off(self) -> None:
        self._entry = None
        self.ring()


class Until(Alarm):
    """A block that may last until then: as `asyncio.timeout_at`, with the same promises.

    Raises (from the `with` block):
        TimeoutError: it has lasted longer, and was cancelled for it.
    """

    __slots__ = ("_at", "_cancelling", "_has_rung", "_task")

    def __init__(self, at: float) -> None:
        super().__init__()
        self._at = at
        self._has_rung = False

    def ring(self) -> None:
        self._has_rung = True
        self._task.cancel()

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self.set(self._at)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.turn_off()
        if self._has_rung and self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise TimeoutError from error


class _Clock:
    """The one timer of an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._waiting: list[_Entry] = []
        self._numbers = count()
        self._off = 0
        """Of those that wait, so many were turned off, or a few less."""
        self._timer: asyncio.TimerHandle | None = None
        self._wakes_at = 0.0

    def add(self, at: float, alarm: Alarm) -> _Entry:
        heappush(self._waiting, entry := [at, next(self._numbers), alarm])
        if self._timer is None or at < self._wakes_at:
            self._sleep(at)
        return entry

    def forget_one(self) -> None:
        self._off += 1
        if self._off > max(_FEW, len(self._waiting) // 2):
            self._waiting = [entry for entry in self._waiting if entry[_ALARM] is not None]
            heapify(self._waiting)
            self._off = 0

    def _sleep(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._wakes_at = at
        self._timer = self.loop.call_at(at, self._wake)

    def _wake(self) -> None:
        self._timer = None
        now = self.loop.time()
        while self._waiting:
            if self._waiting[0][_ALARM] is None:
                self._off -= 1
            elif self._waiting[0][0] <= now:
                # Each in a call of its own: one that raises does not silence the others.
                self.loop.call_soon(_go_off, self._waiting[0])
            else:
                self._sleep(self._waiting[0][0])
                return
            heappop(self._waiting)


def _go_off(entry: _Entry) -> None:
    if (alarm := entry[_ALARM]) is not None:
        alarm.go_off()


_latest: _Clock | None = None


def _clock() -> _Clock:
    """Of the running loop. Only the latest is remembered: a process has one loop, or one after the other."""
    global _latest  # noqa: PLW0603
    loop = asyncio.get_running_loop()
    if _latest is None or _latest.loop is not loop:
        _latest = _Clock(loop)
    return _latest
