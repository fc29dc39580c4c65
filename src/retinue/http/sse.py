"""Frames to bytes on the wire: a server-sent event stream of one run or of many."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import cache, partial
from typing import Any
from uuid import UUID

import msgspec
from litestar.response.base import ASGIResponse
from sse_starlette import EventSourceResponse, ServerSentEvent

from retinue.coordination.base import Sink
from retinue.domain.errors import AccessEnded, StreamBroken, StreamMoved
from retinue.domain.events import RecordedEvent
from retinue.http.eagerly import Begun
from retinue.http.outlet import Outlet, outlet_of
from retinue.http.pulse import KEEP_ALIVE, Pulse
from retinue.protocols.base import Protocol

CONNECTED = b": connected\n"
_UNLOCKED: Any = nullcontext()
_AT_ONCE = 64
"""Events, at most, that leave in one piece without being measured."""


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    ping_seconds: float = 15.0
    """Pause between keep-alive comments; proxies cut silent streams after 30 to 60 s."""
    send_timeout: float = 30.0
    """Seconds without any progress after which a reader is cut off. Its run goes on."""
    chunk_bytes: int = 65_536
    """Waiting frames leave together, up to about this size."""
    retry_ms: int = 1000
    """How long a client is told to wait before it comes back to a stream that goes on in another process."""
    watch: Callable[[Any], AbstractAsyncContextManager[None]] = nullcontext
    """Held while whoever asked reads; raises `AccessEnded` when their credentials end."""


class Feed(msgspec.Struct, frozen=True, kw_only=True):
    """A stream before anybody has said how it is written."""

    follow: Callable[[Sink | None], AsyncGenerator[Sequence[RecordedEvent], None]]
    """Yields batches; what the sink takes is not among them. Raises `StreamBroken` or `StreamMoved` if it cannot tell
    the end."""
    run_id: UUID | None = None
    """The run that is told; null if there may be many."""
    on_gone: Callable[[], None] | None = None
    """Called if the reader goes away before the end."""
    may_be_silent: bool = False
    """Nothing may be there to send for a long time: the client gets a comment at once, so that it knows that it is
    connected, and so that proxies pass the headers on."""
    last_event_id: str | None = None
    """Where the client is before it has seen an event, so that it can come back to this place."""


class RunStream(EventSourceResponse):
    """Sends what a follower yields; the events of one wake-up leave together.

    The content type is exactly `text/event-stream; charset=utf-8`. If the follower raises, the connection is broken off
    without the terminating chunk, because a clean end would be read as success.
    """

    def __init__(self, feed: Feed, protocol: Protocol, settings: StreamSettings) -> None:
        self._teller = _Teller(feed, protocol, settings)
        self._protocol = type(protocol)
        self._on_gone = feed.on_gone
        self._watch = settings.watch
        super().__init__(
            self._teller.chunks(),
            ping=settings.ping_seconds,
            ping_message_factory=_KeepAlive,
            send_timeout=settings.send_timeout,
            sep="\n",
        )

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Without the `connection` that sse-starlette would give: HTTP/2 forbids it, and HTTP/1.1 does not need it."""
        del headers
        self.raw_headers = [*_headers(self._protocol)]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            async with self._watch(scope.get("user")):
                if outlet := outlet_of(scope):
                    await self._serve(outlet, send)
                else:
                    await super().__call__(scope, receive, send)
        except AccessEnded:
            # The reader did not go away: the run goes on, also one that asked to be cancelled then.
            self._teller.is_done = True
            raise
        finally:
            # Here and not in the generator: one that was never begun has no `finally`. Nothing may be awaited, because
            # the server cancels that again.
            if self._on_gone is not None and not self._teller.is_done:
                self._on_gone()

    async def _serve(self, outlet: Outlet, send: Any) -> None:
        """What sse-starlette does in five tasks, in one: the connection itself tells that the reader has gone, and a
        timer keeps it alive.
        """
        self._teller.outlet = outlet
        # Nobody else sends: there is no task that keeps the connection alive.
        self._send_lock = _UNLOCKED
        gone = asyncio.timeout(None)
        pulse = Pulse(outlet, self.ping_interval)
        try:
            async with gone:
                outlet.when_gone(partial(gone.reschedule, 0))
                await self._stream_response(send)
        except TimeoutError:
            if not gone.expired():
                raise
        finally:
            outlet.when_gone(None)
            pulse.turn_off()

    async def _send_with_timeout(self, send: Any, message: Any) -> None:
        """A timer for what a reader takes at once would cost as much as sending it."""
        sending = Begun(send(message))
        if sending.waits:
            await super()._send_with_timeout(lambda _: sending, message)


@cache
def _headers(protocol: type[Protocol]) -> list[tuple[bytes, bytes]]:
    told = {
        "cache-control": "no-store",
        **protocol.headers,
        "x-accel-buffering": "no",
        "content-type": "text/event-stream; charset=utf-8",
    }
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in told.items()]


def nothing_follows() -> ASGIResponse:
    """204 tells an `EventSource` to stop coming back."""
    return ASGIResponse(status_code=204)


class _KeepAlive(ServerSentEvent):
    """A comment without a blank line after it: some clients take that blank line for an empty message."""

    def encode(self) -> bytes:
        return KEEP_ALIVE


def _place(event_id: str | None) -> bytes:
    """A block with an id and without data: an EventSource keeps the id and dispatches nothing (WHATWG HTML, 9.2.6)."""
    return b"" if event_id is None else f"id: {event_id}\n\n".encode()


class _Teller:
    """Makes the chunks of one stream."""

    __slots__ = ("_encode", "_feed", "_open_run", "_protocol", "_settings", "is_done", "outlet")

    def __init__(self, feed: Feed, protocol: Protocol, settings: StreamSettings) -> None:
        self._feed = feed
        self._protocol = protocol
        self._encode = protocol.encoder()
        self._settings = settings
        self._open_run = feed.run_id
        self.outlet: Outlet | None = None
        self.is_done = False
        """The end was told, or the stream ends for a reason of ours: the reader does not go away any more."""

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        encode, size = self._encode, self._settings.chunk_bytes
        if self._feed.may_be_silent:
            yield CONNECTED + _place(self._feed.last_event_id)
        try:
            # A reader who goes away is noticed here while a chunk is being sent; the follower must hear of it at once.
            follow = self._feed.follow(None if self.outlet is None else self._tell)
            try:
                async for batch in follow:
                    self._note(batch[-1])
                    if len(batch) == 1:
                        if frame := encode(batch[0]):
                            yield frame
                        continue
                    for chunk in _joined(map(encode, batch), size):
                        yield chunk
            finally:
                await follow.aclose()
            self.is_done = True
        except Exception as error:
            self.is_done = True
            if last_words := self._last_words(error):
                yield last_words
            raise

    def _tell(self, events: Sequence[RecordedEvent]) -> bool:
        """Send events that are no end on the short way."""
        assert self.outlet is not None
        if len(events) > _AT_ONCE or not self.outlet.is_free():
            return False
        encode = self._encode
        if piece := encode(events[0]) if len(events) == 1 else b"".join(map(encode, events)):
            self.outlet.write(piece)
        self._open_run, self.is_done = events[-1].run_id, False
        return True

    def _note(self, event: RecordedEvent) -> None:
        if event.is_terminal or event.is_pause:
            self._open_run, self.is_done = None, self._feed.run_id is not None
        else:
            self._open_run, self.is_done = event.run_id, False

    def _last_words(self, error: Exception) -> bytes:
        """What is sent before the connection is broken off."""
        if isinstance(error, StreamMoved):
            # No blank line: some clients would take it for an empty message.
            return b"retry: %d\n" % self._settings.retry_ms
        if isinstance(error, StreamBroken) and self._open_run is not None:
            return self._protocol.failure(self._open_run, error)
        return b""


def _joined(frames: Iterable[bytes], size: int) -> Iterator[bytes]:
    """Whole frames only: a keep-alive comment may stand between two chunks."""
    waiting: list[bytes] = []
    room = size
    for frame in frames:
        waiting.append(frame)
        room -= len(frame)
        if room <= 0:
            yield b"".join(waiting)
            waiting.clear()
            room = size
    if chunk := b"".join(waiting):
        yield chunk
