"""Keep-alive comments of a stream that has the short way."""

from retinue.alarms import Alarm
from retinue.http.outlet import Outlet

KEEP_ALIVE = b": keep-alive\n"


class Pulse(Alarm):
    """A comment every so many seconds, between two pieces, until it is turned off. Not while something waits to be
    sent: that keeps the connection alive as well.
    """

    __slots__ = ("_outlet", "_seconds")

    def __init__(self, outlet: Outlet, seconds: float) -> None:
        super().__init__()
        self._outlet, self._seconds = outlet, seconds
        self.set_in(seconds)

    def ring(self) -> None:
        self.set_in(self._seconds)
        if self._outlet.is_free():
            self._outlet.write(KEEP_ALIVE)
