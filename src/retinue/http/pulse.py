"""Keep-alive comments of a stream that has the short way."""

import asyncio

from retinue.http.outlet import Outlet

KEEP_ALIVE = b": keep-alive\n"


class Pulse:
    """A comment every so many seconds, between two pieces, until it is stopped. Not while something waits to be sent:
    that keeps the connection alive as well.
    """

    __slots__ = ("_loop", "_next", "_outlet", "_seconds")

    def __init__(self, outlet: Outlet, seconds: float) -> None:
        self._outlet, self._seconds = outlet, seconds
        self._loop = asyncio.get_running_loop()
        self._next = self._loop.call_later(seconds, self._beat)

    def stop(self) -> None:
        self._next.cancel()

    def _beat(self) -> None:
        self._next = self._loop.call_later(self._seconds, self._beat)
        if self._outlet.is_free():
            self._outlet.write(KEEP_ALIVE)
