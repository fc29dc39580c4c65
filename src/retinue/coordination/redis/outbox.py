"""What waits to be sent, bounded in number and age: a server that was away costs little and gets no old news."""

import time
from collections import deque
from collections.abc import Callable
from uuid import UUID

from retinue.coordination.redis.keys import run_key
from retinue.domain.events import RecordedEvent

MAX_EVENTS = 8192
"""Of all runs together."""
MAX_SIGNALS = 1024
MAX_AGE = 2.0
"""Seconds. Followers elsewhere have read the database by then."""


class Outgoing:
    """One run that is, or was until now, live here."""

    def __init__(self, run_id: UUID, key: str) -> None:
        self.run_id = run_id
        self.key = key
        self.events: list[RecordedEvent] = []
        self.since = 0.0
        """When the oldest of `events` came."""
        self.attempt = 0
        """Of the newest event."""
        self.is_open = True

    def take(self) -> list[RecordedEvent]:
        events, self.events = self.events, []
        return events


class Outbox:
    def __init__(self, notify: Callable[[], None]) -> None:
        self._notify = notify
        self._runs: dict[UUID, Outgoing] = {}
        self._waiting: dict[UUID, Outgoing] = {}
        self._signals: deque[tuple[float, bytes]] = deque(maxlen=MAX_SIGNALS)
        self._count = 0

    @property
    def is_empty(self) -> bool:
        return not self._waiting and not self._signals

    @property
    def open_keys(self) -> list[str]:
        return [run.key for run in self._runs.values() if run.is_open]

    def open(self, tenant_id: UUID, run_id: UUID) -> None:
        run = self._runs.setdefault(run_id, Outgoing(run_id, run_key(tenant_id, run_id)))
        run.is_open = True

    def close(self, run_id: UUID) -> None:
        """What waits is still sent, then the run is forgotten."""
        if run := self._runs.get(run_id):
            run.is_open = False
            if not run.events:
                run.since = time.monotonic()
            self._wait(run)

    def add(self, event: RecordedEvent) -> None:
        run = self._runs.get(event.run_id)
        if run is None:
            return
        if not run.events:
            run.since = time.monotonic()
        run.events.append(event)
        run.attempt = event.attempt
        self._count += 1
        self._wait(run)
        if self._count > MAX_EVENTS:
            self._drop(list(self._waiting.values()))

    def add_signal(self, payload: bytes) -> None:
        self._signals.append((time.monotonic(), payload))
        self._notify()

    def take_runs(self) -> list[Outgoing]:
        """Every run for which there is something to do. A closed one is forgotten with this: put it back if need be."""
        runs, self._waiting, self._count = list(self._waiting.values()), {}, 0
        for run in runs:
            if not run.is_open:
                self._runs.pop(run.run_id, None)
        return runs

    def take_signals(self) -> list[tuple[float, bytes]]:
        signals = list(self._signals)
        self._signals.clear()
        return signals

    def put_back(self, run: Outgoing, events: list[RecordedEvent], since: float) -> None:
        """Events that could not be sent go before those that came meanwhile."""
        run = self._runs.setdefault(run.run_id, run)
        run.events[:0] = events
        run.since = since
        self._count += len(events)
        self._waiting[run.run_id] = run

    def put_signals_back(self, signals: list[tuple[float, bytes]]) -> None:
        self._signals.extendleft(reversed(signals))

    def drop_old(self) -> None:
        """A run whose oldest event is too old loses all that wait: what follows a hole is of no use either."""
        oldest = time.monotonic() - MAX_AGE
        self._drop([run for run in self._waiting.values() if run.since < oldest])
        while self._signals and self._signals[0][0] < oldest:
            self._signals.popleft()

    def forget(self, run: Outgoing) -> None:
        """Send nothing more of it."""
        if self._runs.get(run.run_id) is run:
            run.is_open = False
            self._drop([run])

    def _drop(self, runs: list[Outgoing]) -> None:
        for run in runs:
            self._count -= len(run.take())
            self._waiting.pop(run.run_id, None)
            if not run.is_open:
                self._runs.pop(run.run_id, None)

    def _wait(self, run: Outgoing) -> None:
        self._waiting[run.run_id] = run
        self._notify()
