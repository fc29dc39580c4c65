"""Live tails inside one process."""

import asyncio
from bisect import bisect_right
from collections import deque
from uuid import UUID

from retinue.coordination.base import Batch, EventLog, Tail
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position

_NOTHING = Batch()


class MemoryEventLog(EventLog):
    """Keeps the newest `window` events of every live run.

    Memory is bounded by live runs × window. A follower that falls out of the window reads the database; it neither
    slows the run nor other followers.
    """

    def __init__(self, *, window: int = 1024) -> None:
        self._window = window
        self._channels: dict[UUID, _Channel] = {}

    def open(self, run_id: UUID) -> None:
        self._channels[run_id] = _Channel(self._window)

    def publish(self, event: RecordedEvent) -> None:
        if channel := self._channels.get(event.run_id):
            channel.publish(event)

    def close(self, run_id: UUID, *, broken: bool = False) -> None:
        if channel := self._channels.pop(run_id, None):
            channel.close(broken=broken)

    def tail(self, run_id: UUID) -> "MemoryTail":
        return MemoryTail(self._channels.get(run_id))

    async def aclose(self) -> None:
        for run_id in list(self._channels):
            self.close(run_id, broken=True)


class MemoryTail(Tail):
    """A follower holds the channel itself, so it can still read what it has not seen after the run closed."""

    def __init__(self, channel: "_Channel | None") -> None:
        self._channel = channel

    async def take(self, after: Position) -> Batch:
        if self._channel is None:
            return Batch(is_closed=True)
        return await self._channel.take(after)

    async def __aenter__(self) -> "MemoryTail":
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._channel = None


class _Channel:
    def __init__(self, window: int) -> None:
        self._events: deque[RecordedEvent] = deque(maxlen=window)
        self._waiters: set[asyncio.Future[None]] = set()
        self._end: Batch | None = None

    def publish(self, event: RecordedEvent) -> None:
        self._events.append(event)
        self._wake()

    def close(self, *, broken: bool) -> None:
        self._end = Batch(is_closed=True, is_broken=broken)
        self._wake()

    async def take(self, after: Position) -> Batch:
        while True:
            batch = self._read(after)
            if batch is not _NOTHING:
                return batch
            if self._end is not None:
                return self._end
            await self._sleep()

    def _read(self, after: Position) -> Batch:
        if not self._events or self._events[-1].position <= after:
            return _NOTHING
        if not _follows(after, self._events[0].position):
            end = self._end or _NOTHING
            return Batch(has_gap=True, is_closed=end.is_closed, is_broken=end.is_broken)
        return Batch(events=self._newer_than(after))

    def _newer_than(self, after: Position) -> list[RecordedEvent]:
        if self._events[0].position > after:
            return list(self._events)
        if len(self._events) > 1 and self._events[-2].position == after:
            return [self._events[-1]]
        events = list(self._events)
        return events[bisect_right(events, after, key=lambda event: event.position) :]

    async def _sleep(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.add(waiter)
        try:
            await waiter
        finally:
            self._waiters.discard(waiter)

    def _wake(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)


def _follows(after: Position, first: Position) -> bool:
    """Whether a window that begins at `first` misses nothing that comes after `after`."""
    if first <= after:
        return True
    if after == START:
        return first == Position(1, 1)
    return first == Position(after.attempt, after.seq + 1)
