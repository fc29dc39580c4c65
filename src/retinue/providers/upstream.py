"""One streamed HTTP answer of a vendor, from the request to the last event.

What all vendors share is here: the deadlines, the byte caps, the order in which things are closed, and the translation
of everything that can go wrong. What differs is a `Decoder`.
"""

import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import cast

import httpx2
import msgspec

from retinue.domain.errors import ProviderError, ProviderProtocol, RunError
from retinue.domain.model_io import Finished, ProviderEvent
from retinue.domain.policy import ByteCaps, Deadlines
from retinue.providers.base import Sink
from retinue.providers.deadlines import CallClock
from retinue.providers.failures import from_error_object, from_exception
from retinue.providers.json_text import error_in
from retinue.providers.reading import Decoder, Reading

MAX_ERROR_BODY = 65_536
HEADERS = {"Accept": "text/event-stream", "Accept-Encoding": "identity"}
"""Compressed streams are not asked for: they add delay, and a small one can unpack to any size."""


class CallLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What one model call may take."""

    deadlines: Deadlines = Deadlines()
    caps: ByteCaps = ByteCaps()


Send = Callable[[], Awaitable[httpx2.Response]]
"""Sends the request and returns when the headers of the answer are there."""


async def stream_answer(
    send: Send, decoder: Decoder, limits: CallLimits, sink: Sink | None = None
) -> AsyncGenerator[Sequence[ProviderEvent], None]:
    """The events of one answer, those of one read together, ended by exactly one `Finished`. What the sink takes is
    not among them.

    The response is closed before this generator is, whatever ends it; a closed response closes its socket unless its
    body was read to the end.

    Raises:
        ProviderError: whatever went wrong; the sink's errors come as they are.
    """
    clock = CallClock(limits.deadlines)
    try:
        with clock:
            response = await send()
        body = cast(httpx2.AsyncByteStream, response.stream)
        try:
            await _require_events(response, clock)
            del send, response  # the head has been read, and the rest may take long
            async with contextlib.aclosing(Reading(body, decoder, clock, limits.caps, sink)) as reading:
                while not reading.is_over:
                    if events := await reading.more():
                        yield events
                if decoder.is_over:
                    await reading.drain()
        finally:
            await body.aclose()
    except (ProviderError, RunError):  # of the provider, and of what the sink belongs to
        raise
    except Exception as error:
        failure = from_exception(error)
        raise failure from failure.__cause__
    finally:
        clock.turn_off()
    assert decoder.finish is not None
    yield (Finished(decoder.finish),)


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
