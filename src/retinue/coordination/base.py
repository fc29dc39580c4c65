"""What processes share while a run is alive: live tails of its events, signals, and rates.

Nothing here must survive. The tail of a run is a bounded window over its newest events. What fell out of the window,
what got lost on the way, and every run that is not live, is read from the database; a tail therefore may lose events,
and says so, but never delays a publisher.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from uuid import UUID

import msgspec

from retinue.domain.events import RecordedEvent
from retinue.domain.ids import Position
from retinue.domain.limits import Bucket, Party
from retinue.domain.signals import Signal

IDLE_SECONDS = 1.0
"""How long a tail of another process's run may be silent before its follower looks into the database."""


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What a follower gets when it wakes up."""

    events: Sequence[RecordedEvent] = ()
    """In order, without holes, all after the position asked for."""
    has_gap: bool = False
    """The window has moved past the position asked for: read the database, then ask again. The end is told as well, if
    it has come, because what the database lacks then will never be in it."""
    is_idle: bool = False
    """Nothing has come, and nobody can promise that nothing was lost: read the database, then ask again at once."""
    is_closed: bool = False
    """No further events will come through this tail; whatever is missing is in the database."""
    is_broken: bool = False
    """The publisher could not store the run's end: the stream must break off without an end."""


Sink = Callable[[Sequence[RecordedEvent]], bool]
"""Takes events at once, all of them, or says that it took none. It is called between two steps of the reader's task and
must be quick; what it raises is raised to the reader."""


class Tail(ABC):
    """One follower's view of one run. Use as an async context manager."""

    __slots__ = ()

    @abstractmethod
    async def take(self, after: Position) -> Batch:
        """Wait until there is something after `after` and return all of it at once.

        Where the run may live in another process, the first call answers at once, at worst with `is_idle`, and each
        later one within `IDLE_SECONDS`. One caller at a time. Cancelling it loses nothing.
        """

    async def pour(self, after: Position, sink: Sink) -> Batch:
        """Give `sink` what comes, as soon as it is there, as long as it takes it; return the first batch that has no
        events or was refused. What was taken is behind the reader, who must note it: cancelling this cannot.
        """
        while True:
            batch = await self.take(after)
            if not batch.events or not sink(batch.events):
                return batch
            after = batch.events[-1].position

    @abstractmethod
    async def __aenter__(self) -> "Tail": ...

    @abstractmethod
    async def __aexit__(self, *exc: object) -> None: ...


class EventLog(ABC):
    """Carries events from recorders to followers.

    Order: followers see a run's events in the order of their positions. Fencing: once an event of an attempt was
    published, events of earlier attempts are dropped. Loss: see `Batch`. Blocking: `publish` never waits, neither for a
    follower nor for a server.
    """

    @abstractmethod
    def open(self, tenant_id: UUID, run_id: UUID) -> None:
        """A run goes live in this process. Its followers here need nobody else from then on."""

    @abstractmethod
    def publish(self, *events: RecordedEvent, at_once: bool = False) -> None:
        """Hand events of an open run to whoever follows it. Does nothing for a run that is not open here.

        Args:
            at_once: local followers who can take them without waiting get them, and what was published before, now;
                otherwise with the next turn of the loop, together with what is published until then.
        """

    @abstractmethod
    def close(self, run_id: UUID, *, broken: bool = False) -> None:
        """The run is not live here any more: it has ended, or this process has let go of it. Followers here get what
        they have not seen, then `is_closed`."""

    @abstractmethod
    def tail(self, tenant_id: UUID, run_id: UUID) -> Tail:
        """Subscribe. Entering the tail is the moment from which nothing published is missed unnoticed."""


class Signals(ABC):
    """Tells every process, this one included, that something is worth a look. At most once, in no order."""

    @abstractmethod
    def send(self, signal: Signal) -> None:
        """Never waits and never raises."""

    @abstractmethod
    def subscribe(self, handler: Callable[[Signal], None]) -> Callable[[], None]:
        """Have `handler` called with every signal, in the event loop; it must be quick. Returns what ends that.

        A handler that raises is logged and stays subscribed.
        """


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What became of an attempt to take something, with the state of the bucket that has least left."""

    is_allowed: bool
    wait: float
    """Seconds after which it may be allowed; 0 if it was."""
    limit: int
    """What that bucket holds, per minute."""
    remaining: int
    reset: float
    """Seconds until that bucket is full again."""
    party: Party
    """Whose bucket it is."""


class Rates(ABC):
    """Buckets that all processes take from. Never raises and never waits for a server for long: while none can be
    asked, each process takes from buckets of its own, which hold its share.
    """

    @abstractmethod
    async def take(self, buckets: Sequence[Bucket], amount: int = 1, *, may_owe: bool = False) -> Verdict:
        """Take so much out of every bucket, or out of none if one of them has too little. There must be a bucket.

        Args:
            may_owe: it is enough that none is empty; one that has too little owes the rest. With nothing to take, it
                is only looked at.
        """

    @abstractmethod
    def give_back(self, buckets: Sequence[Bucket], amount: int) -> None:
        """Put back what was taken and not needed; a negative amount is taken after all, whatever is left. Returns at
        once, and may get lost: time fills the buckets, too.
        """


class Coordination(ABC):
    """One backend: an event log, signals and rates with one life. Making it connects to nothing."""

    log: EventLog
    signals: Signals
    rates: Rates

    @property
    @abstractmethod
    def is_shared(self) -> bool:
        """Whether other processes can take part."""

    @property
    @abstractmethod
    def is_healthy(self) -> bool:
        """False while other processes cannot be heard; everything then goes the way through the database."""

    @abstractmethod
    async def start(self) -> None:
        """Begin to work, in tasks of its own. Returns at once, whether or not a server answers."""

    @abstractmethod
    async def forget(self, tenant_id: UUID) -> None:
        """Remove what a server holds of a tenant that was deleted.

        Raises:
            Unavailable: it cannot be reached; try again.
        """

    @abstractmethod
    async def aclose(self) -> None:
        """Send what can be sent within a moment, break local followers off and let go of every connection."""
