"""Counts one request, without looking at what is in it."""

from collections.abc import Iterable
from time import monotonic

from retinue.observability.metrics import METRICS

_STREAM = b"text/event-stream"


class RequestCount:
    """A stream is counted when it begins and counts as open until its end; everything else when it has ended."""

    __slots__ = ("_began_at", "_is_stream", "_method", "_status")

    def __init__(self, method: str) -> None:
        self._method = method
        self._began_at = monotonic()
        self._status: int | None = None
        self._is_stream = False

    def answer_began(self, status: int, headers: Iterable[tuple[bytes, bytes]], route: str | None) -> None:
        self._status = status
        if any(name.lower() == b"content-type" and value.startswith(_STREAM) for name, value in headers):
            self._is_stream = True
            METRICS.open_streams.inc()
            self._tell(route)

    def ended(self, route: str | None) -> None:
        """Whatever has become of the answer."""
        if self._is_stream:
            METRICS.open_streams.dec()
        elif self._status is not None:
            self._tell(route)

    def _tell(self, route: str | None) -> None:
        assert self._status is not None
        METRICS.request_answered(self._method, route, self._status, monotonic() - self._began_at)
