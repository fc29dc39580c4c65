"""Live tails of run events.

The tail of a run is a bounded window over its newest events. What fell out of the window, and every run that is not
live here, is read from the database; a tail therefore may lose events, and says so, but never delays a publisher.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from uuid import UUID

import msgspec

from retinue.domain.events import RecordedEvent
from retinue.domain.ids import Position


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What a follower gets when it wakes up."""

    events: Sequence[RecordedEvent] = ()
    """In order, without holes, all after the position asked for."""
    has_gap: bool = False
    """The window has moved past the position asked for: read the database, then ask again. The end is told as well, if
    it has come, because what the database lacks then will never be in it."""
    is_closed: bool = False
    """No further events will come through this tail; whatever is missing is in the database."""
    is_broken: bool = False
    """The publisher could not store the run's end: the stream must break off without an end."""


class Tail(ABC):
    """One follower's view of one run. Use as an async context manager."""

    @abstractmethod
    async def take(self, after: Position) -> Batch:
        """Wait until there is something after `after` and return all of it at once.

        One caller at a time. Cancelling it loses nothing.
        """

    @abstractmethod
    async def __aenter__(self) -> "Tail": ...

    @abstractmethod
    async def __aexit__(self, *exc: object) -> None: ...


class EventLog(ABC):
    """Carries events from recorders to followers.

    Order: followers see a run's events in the order of their positions. Loss: see `Batch`. Blocking: `publish` never
    waits for a follower.
    """

    @abstractmethod
    def open(self, run_id: UUID) -> None:
        """A run goes live in this process. Before this call its tail is closed."""

    @abstractmethod
    def publish(self, event: RecordedEvent) -> None:
        """Hand an event to whoever follows the run."""

    @abstractmethod
    def close(self, run_id: UUID, *, broken: bool = False) -> None:
        """No more events. Followers get what they have not seen, then `is_closed`."""

    @abstractmethod
    def tail(self, run_id: UUID) -> Tail:
        """Subscribe. Entering the tail is the moment from which nothing published is missed."""

    @abstractmethod
    async def aclose(self) -> None: ...
