"""Bounded windows over the newest events of runs: what local followers read, whoever fills them."""

import asyncio
from bisect import bisect_right
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any
from uuid import UUID

from retinue.coordination.base import Batch, Sink, Tail
from retinue.coordination.pouring import Pouring
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position

WINDOW = 1024
"""Events of one run that a window holds."""

_NOTHING = Batch()
_IDLE = Batch(is_idle=True)


class Channel:
    """The newest `window` events of one run, without a hole between them.

    Any number of followers share it. One that falls out of the window, or wants what was lost before it, is told of the
    gap; it neither slows whoever publishes nor other followers.
    """

    __slots__ = ("_end", "_events", "_listeners", "_window")

    def __init__(self, window: int) -> None:
        self._window = window
        self._events: list[RecordedEvent] = []
        self._listeners: list[Callable[[bool], None]] = []
        """Few, of most runs one."""
        self._end: Batch | None = None

    @property
    def is_closed(self) -> bool:
        return self._end is not None

    def publish(self, events: Sequence[RecordedEvent], *, at_once: bool = False) -> Sequence[RecordedEvent]:
        """Append events; what is not newer than the newest one is dropped. Returns what was not."""
        taken = [event for event in events if self._append(event)]
        if (excess := len(self._events) - self._window) > 0:
            del self._events[:excess]
        self._wake(at_once=at_once)
        return taken

    def close(self, *, broken: bool = False) -> None:
        self._end = Batch(is_closed=True, is_broken=broken)
        self._wake()

    async def take(self, after: Position, patience: float | None = None) -> Batch:
        """See `Tail.take`; `is_idle` when nothing came for `patience` seconds."""
        batch = self.look(after)
        if batch is not None:
            return batch
        if patience is not None and patience <= 0:
            return _IDLE
        loop = asyncio.get_running_loop()
        until = None if patience is None else loop.time() + patience
        while batch is None and (until is None or loop.time() < until):
            await self._sleep(loop, until)
            batch = self.look(after)
        return batch or _IDLE

    async def pour(self, after: Position, sink: Sink, patience: float | None = None) -> Batch:
        """See `Tail.pour`; `is_idle` when nothing came for `patience` seconds."""
        if patience is not None and patience <= 0:
            return self.look(after) or _IDLE
        pouring = Pouring(self.look, after, sink)
        wake = pouring.wake
        self._listeners.append(wake)
        try:
            return await pouring.refused(patience) or _IDLE
        finally:
            self._listeners.remove(wake)

    def look(self, after: Position) -> Batch | None:
        """What there is after a position; None if there is nothing yet."""
        events = self._events
        if not events:
            return self._end
        newest = events[-1]
        if (newest.attempt, newest.seq) <= after:
            return self._end
        if (newest.attempt, newest.seq - 1) == after:
            return Batch(events=(newest,))
        if not _follows(after, events[0].position):
            end = self._end or _NOTHING
            return Batch(has_gap=True, is_closed=end.is_closed, is_broken=end.is_broken)
        return Batch(events=self._newer_than(after))

    def _newer_than(self, after: Position) -> list[RecordedEvent]:
        events = self._events
        return events[bisect_right(events, after, key=lambda event: event.position) :]

    def _append(self, event: RecordedEvent) -> bool:
        if self._events:
            newest = self._events[-1]
            if (event.attempt, event.seq) <= (newest.attempt, newest.seq):
                return False
            if event.seq != newest.seq + 1 or event.attempt != newest.attempt:
                self._events.clear()
        self._events.append(event)
        return True

    async def _sleep(self, loop: asyncio.AbstractEventLoop, until: float | None) -> None:
        waiter = loop.create_future()
        wake = partial(_set, waiter)
        alarm = None if until is None else loop.call_at(until, wake)
        self._listeners.append(wake)
        try:
            await waiter
        finally:
            self._listeners.remove(wake)
            if alarm is not None:
                alarm.cancel()

    def _wake(self, *, at_once: bool = False) -> None:
        for wake in self._listeners:
            wake(at_once)


class LocalTail(Tail):
    """A follower holds the channel itself, so it can still read what it has not seen after the run closed."""

    __slots__ = ("_channel",)

    def __init__(self, channel: Channel | None) -> None:
        self._channel = channel

    def take(self, after: Position) -> Coroutine[Any, Any, Batch]:
        return _closed() if self._channel is None else self._channel.take(after)

    def pour(self, after: Position, sink: Sink) -> Coroutine[Any, Any, Batch]:
        return _closed() if self._channel is None else self._channel.pour(after, sink)

    async def __aenter__(self) -> "LocalTail":
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._channel = None


class LiveRuns:
    """The channels of the runs that are live in this process. Memory is bounded by live runs × window."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._channels: dict[UUID, Channel] = {}
        self._tenants: dict[UUID, UUID] = {}

    def open(self, tenant_id: UUID, run_id: UUID, channel: Channel | None = None) -> None:
        """Begin a channel, or go on with one that followers already read. One that is open is closed: its followers
        come again."""
        self.close(run_id)
        self._channels[run_id] = channel or Channel(self._window)
        self._tenants[run_id] = tenant_id

    def publish(self, events: Sequence[RecordedEvent], *, at_once: bool = False) -> Sequence[RecordedEvent]:
        """Events of one run. Returns those that did not come too late; none if the run is not open here."""
        channel = self._channels.get(events[0].run_id) if events else None
        return () if channel is None else channel.publish(events, at_once=at_once)

    def close(self, run_id: UUID, *, broken: bool = False) -> bool:
        """False if the run was not open here."""
        self._tenants.pop(run_id, None)
        channel = self._channels.pop(run_id, None)
        if channel is not None:
            channel.close(broken=broken)
        return channel is not None

    def get(self, tenant_id: UUID, run_id: UUID) -> Channel | None:
        return self._channels.get(run_id) if self._tenants.get(run_id) == tenant_id else None

    def break_off(self) -> None:
        for run_id in list(self._channels):
            self.close(run_id, broken=True)


async def _closed() -> Batch:
    return Batch(is_closed=True)


def _set(waiter: asyncio.Future[None], _at_once: bool = False) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _follows(after: Position, first: Position) -> bool:
    """Whether a window that begins at `first` misses nothing that comes after `after`."""
    if first <= after:
        return True
    if after == START:
        return first == Position(1, 1)
    return first == Position(after.attempt, after.seq + 1)
