"""Server-sent events as model vendors send them: bytes in, payloads out, nothing unbounded in between."""

from retinue.domain.errors import ProviderProtocol
from retinue.domain.policy import ByteCaps

SseEvent = tuple[bytes, bytes]
"""Name (empty where the stream gave none) and payload."""


class SseParser:
    """Splits a byte stream into events. One instance per answer.

    Lines may end in LF, CRLF or CR, also split over chunks. Comments, `id:` and `retry:` are skipped, several `data:`
    lines of an event are joined by LF. The caps are counted before anything is decoded.
    """

    __slots__ = ("_after_cr", "_caps", "_data", "_event_size", "_name", "_rest", "_total")

    def __init__(self, caps: ByteCaps) -> None:
        self._caps = caps
        self._total = 0
        self._rest = bytearray()
        self._name = b""
        self._data: list[bytes] = []
        self._event_size = 0
        self._after_cr = False

    def feed(self, chunk: bytes) -> list[SseEvent]:
        """Take the next bytes and give back the events that they complete.

        Raises:
            ProviderProtocol: a line, an event or the whole answer is larger than allowed.
        """
        self._total += len(chunk)
        if self._total > self._caps.turn:
            raise ProviderProtocol("The model provider's answer is larger than allowed.")
        if self._after_cr or b"\r" in chunk:
            chunk = self._with_line_feeds(chunk)
        if b"\n" not in chunk:  # appended, not joined anew: a line that drips in must not cost its square
            self._rest += chunk
            self._check_size(len(self._rest))
            return []
        lines = (bytes(self._rest) + chunk).split(b"\n") if self._rest else chunk.split(b"\n")
        self._rest = bytearray(lines.pop())
        self._check_size(len(self._rest))
        events: list[SseEvent] = []
        most = self._caps.line
        for line in lines:
            if line[:6] == b"data: " and not self._data and len(line) <= most:  # as nearly all do
                self._data.append(line[6:])
                self._event_size = len(line) - 6
            elif line:
                self._take(line)
            elif self._data or self._name:
                self._close(events)
        return events

    def end(self) -> list[SseEvent]:
        """The stream is over: whatever waits for its blank line, if the cut left any of it."""
        if self._rest:
            self._take(bytes(self._rest))
            self._rest.clear()
        events: list[SseEvent] = []
        self._close(events)
        return events

    def _take(self, line: bytes) -> None:
        self._check_size(len(line))
        field, colon, value = line.partition(b":")
        if not colon and field != b"data":
            return
        value = value[1:] if value[:1] == b" " else value
        if field == b"data":
            self._event_size += len(value)
            self._check_size(self._event_size)
            self._data.append(value)
        elif field == b"event":
            self._name = value

    def _close(self, events: list[SseEvent]) -> None:
        if self._data:
            events.append((self._name, self._data[0] if len(self._data) == 1 else b"\n".join(self._data)))
            self._data = []
        self._name = b""
        self._event_size = 0

    def _check_size(self, size: int) -> None:
        if size > self._caps.line:
            raise ProviderProtocol("The model provider sent a line that is longer than allowed.")

    def _with_line_feeds(self, chunk: bytes) -> bytes:
        """Make every line end a LF. A CR at the end of a chunk already ended its line; a LF after it adds none."""
        if self._after_cr and chunk[:1] == b"\n":
            chunk = chunk[1:]
        self._after_cr = chunk[-1:] == b"\r"
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
