"""One streamed HTTP answer of a vendor, from the request to the last event.

What all vendors share is here: the deadlines, the byte caps, the order in which things are closed, and the translation
of everything that can go wrong. What differs is a `Decoder`.
"""

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from typing import Protocol, cast

import httpx2
import msgspec

from retinue.domain.errors import ProviderError, ProviderProtocol, ProviderTruncated
from retinue.domain.model_io import Finished, FinishReason, ProviderEvent, UsageReported
from retinue.domain.policy import ByteCaps, Deadlines
from retinue.providers.deadlines import CallClock
from retinue.providers.failures import from_error_object, from_exception
from retinue.providers.json_text import error_in
from retinue.providers.sse import SseEvent, SseParser

TAIL_SECONDS = 5.0
"""How long a complete answer waits for its usage."""
DRAIN_SECONDS = 0.25
"""How long the end of the body is waited for, so that the connection can be used again."""
MAX_ERROR_BODY = 65_536
HEADERS = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
"""Compressed streams are not asked for: they add delay, and a small one can unpack to any size."""


class CallLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one model call may take."""

    deadlines: Deadlines = Deadlines()
    caps: ByteCaps = ByteCaps()


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


Send = Callable[[], Awaitable[httpx2.Response]]
"""Sends the request and returns when the headers of the answer are there."""


async def stream_answer(
    send: Send, decoder: Decoder, limits: CallLimits
) -> AsyncGenerator[Sequence[ProviderEvent], None]:
    """The events of one answer, those of one read together, ended by exactly one `Finished`.

    The response is closed before this generator is, whatever ends it; a closed response closes its socket unless its
    body was read to the end.

    Raises:
        ProviderError: whatever went wrong.
    """
    clock = CallClock(limits.deadlines)
    try:
        with clock:
            response = await send()
        body = cast(httpx2.AsyncByteStream, response.stream)
        try:
            await _require_events(response, clock)
            del send, response  # the head has been read, and the rest may take long
            async with contextlib.aclosing(_chunks(body)) as chunks:
                reading = _Reading(chunks, decoder, clock, limits.caps)
                while not reading.is_over:
                    if events := await reading.more():
                        yield events
                if decoder.is_over:
                    await _drain(chunks, clock)
        finally:
            await body.aclose()
    except ProviderError:
        raise
    except Exception as error:
        failure = from_exception(error)
        raise failure from failure.__cause__
    finally:
        clock.close()
    assert decoder.finish is not None
    yield (Finished(decoder.finish),)


class _Reading:
    """One answer, read to its end."""

    __slots__ = ("_chunks", "_clock", "_decoder", "_failure", "_parser", "is_over")

    def __init__(self, chunks: AsyncIterator[bytes], decoder: Decoder, clock: CallClock, caps: ByteCaps) -> None:
        self._chunks = chunks
        self._decoder = decoder
        self._clock = clock
        self._parser = SseParser(caps)
        self._failure: Exception | None = None
        self.is_over = False

    async def more(self) -> Sequence[ProviderEvent]:
        """What one read brings, which may be nothing. An error comes after what came before it.

        Raises:
            ProviderError, httpx2.HTTPError
        """
        came: list[ProviderEvent] = []
        try:
            if self._failure is not None:
                raise self._failure
            with self._clock:
                chunk = await anext(self._chunks, None)
            self._read(chunk, came)
        except (ProviderError, httpx2.HTTPError) as failure:
            # A finish reason is the positive fact of completion: what breaks after it takes nothing away.
            if self._decoder.finish is not None:
                self._end(came)
            elif came:
                self._failure = failure
            else:
                raise
        return came

    def _read(self, chunk: bytes | None, into: list[ProviderEvent]) -> None:
        self._decode(self._parser.end() if chunk is None else self._parser.feed(chunk), into)
        if chunk is None or self._decoder.is_over:
            if self._decoder.finish is None:
                raise ProviderTruncated
            self._end(into)

    def _decode(self, events: list[SseEvent], into: list[ProviderEvent]) -> None:
        take = self._decoder.take
        for event in events:
            for piece in take(event):
                into.append(piece)  # noqa: PERF402 - one by one: what came before an error is kept
            if self._decoder.is_over:
                break
        if any(not isinstance(piece, UsageReported) for piece in into):
            self._clock.progress()
        if self._decoder.finish is not None:
            self._clock.grace(TAIL_SECONDS)

    def _end(self, into: list[ProviderEvent]) -> None:
        self.is_over = True
        into.extend(self._decoder.end())


class _Chunks(Protocol):
    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None: ...


def _chunks(body: httpx2.AsyncByteStream) -> _Chunks:
    """As they come; `aiter_raw` would put a generator around them, which every token had to pass."""
    return cast(_Chunks, aiter(body))


async def _drain(chunks: AsyncIterator[bytes], clock: CallClock) -> None:
    """Read the end of the body if it is at hand. A server that goes on sending loses its connection."""
    clock.grace(DRAIN_SECONDS)
    with contextlib.suppress(ProviderError, httpx2.HTTPError), clock:
        await anext(chunks, None)


async def _require_events(response: httpx2.Response, clock: CallClock) -> None:
    """Make sure that the answer is a stream of events; if it is a JSON document instead, see what it reports."""
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    encoding = response.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("", "identity"):
        raise ProviderProtocol("The model provider compressed its answer although it was asked not to.")
    if kind in ("", "text/event-stream"):
        return
    if kind.endswith("json"):
        with clock:
            body = await _head(response)
        reported = error_in(body)
        if reported is not None:
            raise from_error_object(reported)
    raise ProviderProtocol("The model provider did not answer with a stream of events.")


async def _head(response: httpx2.Response) -> bytes:
    body = b""
    async with contextlib.aclosing(response.aiter_raw()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_ERROR_BODY:
                break
    return body[:MAX_ERROR_BODY]


def call_timeout(deadlines: Deadlines) -> httpx2.Timeout:
    """The transport's part of the deadlines: connecting and sending. Reading belongs to `CallClock`."""
    return httpx2.Timeout(None, connect=deadlines.connect, write=deadlines.first_token, pool=deadlines.connect)
