"""The short way of a body to its connection; see `retinue.http.outlet`."""

import asyncio
from collections.abc import Callable


class ChunkOutlet:
    """Of an answer whose body goes out in chunks (RFC 9112, 7.1). Whatever is not free has to go the way of all others,
    which waits.
    """

    __slots__ = ("_call", "_is_gone", "_is_open", "_is_whole", "_lock", "_transport")

    def __init__(self, transport: asyncio.WriteTransport, lock: asyncio.Lock, is_whole: Callable[[], bool]) -> None:
        """
        Args:
            lock: held by whoever waits to send on the connection.
            is_whole: whether all of the request has come.
        """
        self._transport, self._lock, self._is_whole = transport, lock, is_whole
        self._is_open = False
        self._is_gone = False
        self._call: Callable[[], None] | None = None

    def open(self) -> None:
        """The head is out."""
        self._is_open = not self._is_gone

    def end(self) -> None:
        """The body is complete."""
        self._is_open, self._call = False, None

    def close(self) -> None:
        """The answer is over, or its client is gone."""
        self._is_open, self._is_gone = False, True
        call, self._call = self._call, None
        if call is not None:
            call()

    def is_offered(self) -> bool:
        return self._is_whole()

    def is_free(self) -> bool:
        if self._transport.is_closing():
            # Whoever reads the connection may be waiting for something else, and not have noticed.
            self.close()
        return self._is_open and not self._lock.locked() and not self._transport.get_write_buffer_size()

    def write(self, piece: bytes) -> None:
        self._transport.write(b"%x\r\n%b\r\n" % (len(piece), piece))

    def when_gone(self, call: Callable[[], None] | None) -> None:
        self._call = call
        if call is not None and self._is_gone:
            self.close()
