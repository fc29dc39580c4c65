"""How a process owns its runs."""

import time

import msgspec

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def clock() -> float:
    """Seconds that go on while this process, or its whole machine, is asleep."""
    return time.clock_gettime(_CLOCK)


class Lease(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    """This process: a new name with every start."""
    seconds: float
    """How long an unrenewed hold lasts, on the database's clock."""

    def hold(self, asked_at: float) -> "Hold":
        return Hold(self.seconds, asked_at)


class Hold:
    """What this process can know by itself about its lease of one run.

    Counted from before the database was asked, it runs out earlier here than there: as long as `is_held`, nobody else
    can have taken the run over. A process that was frozen sees at once that it has run out.
    """

    __slots__ = ("_seconds", "_until")

    def __init__(self, seconds: float, asked_at: float) -> None:
        self._seconds = seconds
        self._until = asked_at + seconds

    @property
    def is_held(self) -> bool:
        return clock() < self._until

    def renew(self, asked_at: float) -> None:
        """The database has renewed the lease; it was asked at `asked_at`."""
        self._until = asked_at + self._seconds
