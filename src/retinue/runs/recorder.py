"""The only writer of a run's events."""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

from retinue.coordination.base import EventLog
from retinue.domain.errors import ProcessLost, StorageFailed
from retinue.domain.events import RecordedEvent, RunEvent
from retinue.domain.ids import Position, now_ms
from retinue.runs.event_writer import EventWriter
from retinue.runs.lease import Hold

MAX_UNSTORED = 8192
"""Events that may wait for the database before the run is failed instead of growing on."""
HIGH_WATER = 1024
"""Events that may wait before the run stops reading its provider until the database has taken them."""
ROOM_SECONDS = 20.0
"""How long a run waits for the database to take what it has."""


class Recorder:
    """Numbers each event of one attempt, publishes it at once and has it stored in batches.

    Positions of an attempt are contiguous from 1. Nothing is published once the hold on the run has run out. The
    terminal event is numbered by `seal` and published by `announce`, so that the commit stands between the two.
    """

    __slots__ = (
        "_earlier",
        "_log",
        "_seq",
        "_taken",
        "_unstored",
        "_writer",
        "attempt",
        "hold",
        "on_lost",
        "run_id",
        "tenant_id",
        "writing",
    )

    def __init__(
        self,
        *,
        tenant_id: UUID,
        run_id: UUID,
        attempt: int,
        log: EventLog,
        writer: EventWriter,
        hold: Hold,
        seq: int = 0,
        earlier: int = 0,
    ) -> None:
        """
        Args:
            seq: events of this attempt that are stored already.
            earlier: stored events of earlier attempts.
        """
        self.tenant_id = tenant_id
        self.run_id = run_id
        self.attempt = attempt
        self.writing = asyncio.Lock()
        """Held while a batch of this run is on its way to the database."""
        self.on_lost: Callable[[], None] = lambda: None
        """Called when the database takes no more events of this attempt: the run was deleted or taken over."""
        self.hold = hold
        self._log = log
        self._writer = writer
        self._seq = seq
        self._earlier = earlier
        self._unstored: list[RecordedEvent] = []
        self._taken: asyncio.Event | None = None
        """Set when the database has taken something, if somebody waits for it."""

    @property
    def event_count(self) -> int:
        """Over all attempts."""
        return self._earlier + self._seq

    @property
    def position(self) -> Position:
        """Of the newest event."""
        return Position(self.attempt, self._seq)

    def open(self) -> None:
        """The run goes live here."""
        self._log.open(self.tenant_id, self.run_id)

    def record(self, *events: RunEvent, at_once: bool = False) -> None:
        """Number and publish events. Never waits. For `at_once` see `EventLog.publish`.

        Raises:
            ProcessLost: the hold on the run has run out; somebody else may own it by now.
            StorageFailed: too many events wait for a database that does not take them.
        """
        if not self.hold.is_held:
            raise ProcessLost
        self.require_room(len(events))
        recorded = self._numbered(events)
        self._unstored += recorded
        self._log.publish(*recorded, at_once=at_once)
        self._writer.notice(self, len(self._unstored))

    def require_room(self, count: int = 1) -> None:
        """Check that so many events can be recorded; ask before keeping what must not be kept untold.

        Raises:
            StorageFailed: see `record`.
        """
        if not self.has_room_for(count):
            raise StorageFailed

    def has_room_for(self, count: int) -> bool:
        return len(self._unstored) + count <= MAX_UNSTORED

    @property
    def is_behind(self) -> bool:
        """Events come faster than the database takes them; see `catch_up`."""
        return len(self._unstored) >= HIGH_WATER

    async def catch_up(self) -> None:
        """Wait until the database has taken what waits. Whoever records calls it between two events, when `is_behind`.

        Raises:
            StorageFailed: the database did not take it in time.
        """
        try:
            async with asyncio.timeout(ROOM_SECONDS):
                while self.is_behind:
                    self._taken = asyncio.Event()
                    await self._taken.wait()
        except TimeoutError:
            raise StorageFailed from None
        finally:
            self._taken = None

    def take_unstored(self) -> list[RecordedEvent]:
        """Take what has to be written. The caller holds `writing` and puts the events back if writing fails."""
        events, self._unstored = self._unstored, []
        if self._taken is not None:
            self._taken.set()
        return events

    def put_back(self, events: list[RecordedEvent]) -> None:
        self._unstored[:0] = events

    def seal(self, event: RunEvent) -> RecordedEvent:
        """Number an event that is published after its commit: the last one, or one that must not get lost."""
        return self._numbered((event,))[0]

    def unseal(self, count: int = 1) -> None:
        """The run goes on after all: the numbers of the last sealed events are free again."""
        self._seq -= count

    def tell(self, sealed: Sequence[RecordedEvent], *, is_stored: bool) -> None:
        """Publish sealed events that are not the end. What nobody knows to be stored is stored again."""
        if is_stored or self.hold.is_held:
            self._log.publish(*sealed)
        if sealed and not is_stored:
            self._unstored += sealed
            self._writer.notice(self, len(self._unstored))

    def announce(self, terminal: RecordedEvent) -> None:
        """Publish the last event, after its commit, and close the live tail."""
        self._log.publish(terminal)
        self._log.close(self.run_id)

    def leave(self) -> None:
        """The run goes on elsewhere, or is gone: followers here look for it in the database."""
        self._log.close(self.run_id)

    def abandon(self) -> None:
        """The end could not be stored: followers are broken off instead of being told an end."""
        self._log.close(self.run_id, broken=True)

    def _numbered(self, events: Sequence[RunEvent]) -> list[RecordedEvent]:
        run_id, attempt, at, first = self.run_id, self.attempt, now_ms(), self._seq + 1
        self._seq += len(events)
        return [RecordedEvent(run_id, attempt, seq, at, event) for seq, event in enumerate(events, first)]
