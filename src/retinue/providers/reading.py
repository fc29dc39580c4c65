"""Reading one answer: bytes in, events out, for as long as there may be more."""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import suppress
from typing import Protocol, cast

import httpx2

from retinue.domain.errors import ProviderError, ProviderTruncated
from retinue.domain.model_io import FinishReason, ProviderEvent, TextPiece, UsageReported
from retinue.domain.policy import ByteCaps
from retinue.egress import Body
from retinue.providers.base import Sink
from retinue.providers.deadlines import CallClock
from retinue.providers.sse import SseEvent, SseParser

TAIL_SECONDS = 5.0
"""How long a complete answer waits for its usage."""
DRAIN_SECONDS = 0.25
"""How long the end of the body is waited for, so that the connection can be used again."""


class Decoder(Protocol):
    """Turns one vendor's events into ours. One instance per answer."""

    finish: FinishReason | None
    """Why the answer ended, once the vendor said so. What follows may only be usage."""
    is_over: bool
    """The vendor said that nothing follows."""

    def take(self, event: SseEvent) -> Iterable[ProviderEvent]:
        """The next event's pieces.

        Raises:
            ProviderError: the event reports one, or cannot be read.
        """

    def end(self) -> Iterable[ProviderEvent]:
        """Close what is still open, at the regular end of the answer."""


class _Chunks(Protocol):
    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None: ...


class Reading:
    """One answer, read to its end by one task."""

    __slots__ = (
        "_body",
        "_came",
        "_chunks",
        "_clock",
        "_decoder",
        "_failure",
        "_has_begun",
        "_parser",
        "_sink",
        "is_over",
    )

    def __init__(
        self, body: httpx2.AsyncByteStream, decoder: Decoder, clock: CallClock, caps: ByteCaps, sink: Sink | None
    ) -> None:
        # As they come; `aiter_raw` would put a generator around them, which every token had to pass.
        self._chunks = cast(_Chunks, aiter(body))
        self._body = body if isinstance(body, Body) else None
        self._decoder = decoder
        self._clock = clock
        self._parser = SseParser(caps)
        self._sink = sink
        self._came: list[ProviderEvent] = []
        self._failure: Exception | None = None
        self._has_begun = False
        """Something was given out that is part of the answer."""
        self.is_over = False

    async def more(self) -> Sequence[ProviderEvent]:
        """What one read brings, which may be nothing. An error comes after what came before it.

        Raises:
            ProviderError, httpx2.HTTPError
        """
        came = self._came = []
        try:
            if self._failure is not None:
                raise self._failure
            if not await self._pour():
                with self._clock:
                    chunk = await anext(self._chunks, None)
                self._read(chunk)
            self._tell_clock()
        except (ProviderError, httpx2.HTTPError) as failure:
            # A finish reason is the positive fact of completion: what breaks after it takes nothing away.
            if self._decoder.finish is not None:
                self._end()
            elif came:
                self._failure = failure
            else:
                raise
        return came

    async def drain(self) -> None:
        """Read the end of the body if it is at hand. A server that goes on sending loses its connection."""
        self._clock.grace(DRAIN_SECONDS)
        with suppress(ProviderError, httpx2.HTTPError), self._clock:
            await anext(self._chunks, None)

    async def aclose(self) -> None:
        await self._chunks.aclose()

    async def _pour(self) -> bool:
        """Give the sink what it takes. Whether there is something that it did not take, or the answer is complete."""
        if self._sink is None or self._body is None or not self._has_begun or self._decoder.finish is not None:
            return False
        with self._clock:
            await self._body.pour(self._pass_on)
        return bool(self._came) or self._decoder.finish is not None

    def _pass_on(self, chunk: bytes) -> bool:
        """Whether there was nothing but what the sink has taken."""
        self._read(chunk)
        if self._decoder.finish is not None:
            return False  # what may follow has its own time
        if not self._came:
            return True
        if not self._is_taken():
            return False
        self._came.clear()
        self._clock.go_on()
        return True

    def _is_taken(self) -> bool:
        assert self._sink is not None
        for event in self._came:
            if type(event) is not TextPiece:
                return False
        return self._sink(self._came)

    def _read(self, chunk: bytes | None) -> None:
        self._decode(self._parser.end() if chunk is None else self._parser.feed(chunk))
        if chunk is None or self._decoder.is_over:
            if self._decoder.finish is None:
                raise ProviderTruncated
            self._end()

    def _decode(self, events: Iterable[SseEvent]) -> None:
        decoder, came = self._decoder, self._came
        for event in events:
            for piece in decoder.take(event):
                came.append(piece)  # one by one: what came before an error is kept
            if decoder.is_over:
                break

    def _tell_clock(self) -> None:
        """How long the next wait may take."""
        if any(not isinstance(piece, UsageReported) for piece in self._came):
            self._has_begun = True
            self._clock.progress()
        if self._decoder.finish is not None:
            self._clock.grace(TAIL_SECONDS)

    def _end(self) -> None:
        self.is_over = True
        self._came.extend(self._decoder.end())
