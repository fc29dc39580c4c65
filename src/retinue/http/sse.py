"""Frames to bytes on the wire: a server-sent event stream of a run."""

from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing

import msgspec
from sse_starlette import EventSourceResponse, ServerSentEvent

from retinue.domain.events import RecordedEvent
from retinue.protocols.base import Encode


class StreamSettings(msgspec.Struct, frozen=True, kw_only=True):
    ping_seconds: float = 15.0
    """Pause between keep-alive comments; proxies cut silent streams after 30 to 60 s."""
    send_timeout: float = 30.0
    """Seconds without any progress after which a reader is cut off. Its run goes on."""
    chunk_bytes: int = 65_536
    """Waiting frames leave together, up to about this size."""


class _KeepAlive(ServerSentEvent):
    """A comment without a blank line after it: some clients take that blank line for an empty message."""

    def encode(self) -> bytes:
        return b": keep-alive\n"


class RunStream(EventSourceResponse):
    """Sends what a follower yields; the events of one wake-up leave together.

    The content type is exactly `text/event-stream; charset=utf-8`. If the follower raises, the connection is broken off
    without the terminating chunk, because a clean end would be read as success.
    """

    def __init__(
        self,
        batches: AsyncGenerator[Sequence[RecordedEvent], None],
        encode: Encode,
        settings: StreamSettings,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(
            _chunks(batches, encode, settings.chunk_bytes),
            headers={"Cache-Control": "no-cache", **headers},
            ping=settings.ping_seconds,
            ping_message_factory=_KeepAlive,
            send_timeout=settings.send_timeout,
            sep="\n",
        )
        # HTTP/2 forbids this header, and HTTP/1.1 does not need it.
        del self.headers["connection"]


async def _chunks(
    batches: AsyncGenerator[Sequence[RecordedEvent], None], encode: Encode, size: int
) -> AsyncGenerator[bytes, None]:
    # A reader who goes away is noticed here while a chunk is being sent; the follower must hear of it at once.
    async with aclosing(batches):
        async for batch in batches:
            if len(batch) == 1:
                if frame := encode(batch[0]):
                    yield frame
                continue
            for chunk in _joined((encode(event) for event in batch), size):
                yield chunk


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
