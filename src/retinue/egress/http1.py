"""HTTP/1.1 as a client speaks it, on one connection."""

import asyncio
import re
import ssl
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from contextlib import aclosing, suppress
from enum import Enum, auto

import httpcore2

from retinue.egress.answers import Answer

_READ_BYTES = 65_536
_SLICE = 4096
"""Read at once of a head, before others have their turn: heads of a few bytes take long to take apart."""
_TARGET = re.compile(rb"[!-~]+")
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_METHOD = re.compile(_TOKEN)
_FIELDS = re.compile(rb"(?:" + _TOKEN + rb": [\t -~\x80-\xff]*\r\n)*")
"""What may stand in a head (RFC 9110, 5.5), so that no value becomes a header of its own."""


class _State(Enum):
    NEW = auto()
    ACTIVE = auto()
    IDLE = auto()
    CLOSED = auto()


class Http1Connection(httpcore2.AsyncConnectionInterface):
    """A connection of httpcore2's pool, which gives it one request at a time.

    httpcore2's own takes every chunk of an answer apart in Python, and calls a dozen functions for each. Here what came
    in one read is one piece.

    Raises:
        httpcore2.LocalProtocolError: the request cannot be written as HTTP/1.1.
        httpcore2.RemoteProtocolError: the answer is none.
        httpcore2.ReadError: it is cut short.
    """

    def __init__(
        self,
        network: httpcore2.AsyncNetworkBackend,
        ssl_context: ssl.SSLContext,
        idle_seconds: float | None,
        origin: httpcore2.Origin,
    ) -> None:
        self._origin = origin
        self._network = network
        self._ssl_context = ssl_context
        self._idle_seconds = idle_seconds
        self._stream: httpcore2.AsyncNetworkStream | None = None
        self._state = _State.NEW
        self._expires_at: float | None = None

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response:
        if self._state not in (_State.NEW, _State.IDLE):
            raise httpcore2.ConnectionNotAvailable
        self._state = _State.ACTIVE
        timeouts = request.extensions.get("timeout", {})
        try:
            if self._stream is None:
                self._stream = await self._connect(timeouts.get("connect"), request)
            await _send(self._stream, request, timeouts.get("write"))
            answer = Answer(has_body=request.method != b"HEAD")
            await _read_head(self._stream, answer, timeouts.get("read"))
        except BaseException:
            await self.aclose()
            raise
        return httpcore2.Response(
            answer.status,
            headers=answer.headers,
            content=_Body(self, self._stream, answer, timeouts.get("read")),
            extensions={
                "http_version": answer.version,
                "reason_phrase": answer.reason,
                "network_stream": self._stream,
            },
        )

    async def _connect(self, timeout: float | None, request: httpcore2.Request) -> httpcore2.AsyncNetworkStream:  # noqa: ASYNC109
        host = self._origin.host.decode("ascii")
        stream = await self._network.connect_tcp(host, self._origin.port, timeout)
        if self._origin.scheme != b"https":
            return stream
        name = request.extensions.get("sni_hostname") or host
        return await stream.start_tls(self._ssl_context, name, timeout)

    async def answered(self, answer: Answer) -> None:
        """The answer is done with, to its end or not."""
        if self._state is not _State.ACTIVE:
            return
        if not (answer.is_complete and answer.may_go_on):
            await self.aclose()
            return
        self._state = _State.IDLE
        self._expires_at = None if self._idle_seconds is None else time.monotonic() + self._idle_seconds

    async def aclose(self) -> None:
        self._state = _State.CLOSED
        if self._stream is not None:
            await self._stream.aclose()

    def can_handle_request(self, origin: httpcore2.Origin) -> bool:
        return origin == self._origin

    def is_connected(self) -> bool:
        return self._stream is not None and self._state is not _State.CLOSED

    def is_available(self) -> bool:
        return self._state is _State.IDLE

    def is_idle(self) -> bool:
        return self._state is _State.IDLE

    def is_closed(self) -> bool:
        return self._state is _State.CLOSED

    def has_expired(self) -> bool:
        """It was idle for too long, or the server has said something, which can only be its goodbye."""
        if self._expires_at is not None and time.monotonic() > self._expires_at:
            return True
        if self._stream is None or self._state is not _State.IDLE:
            return False
        return bool(self._stream.get_extra_info("is_readable"))

    def info(self) -> str:
        return f"{self._origin!s}, HTTP/1.1, {self._state.name}"


class _Body:
    """The body of an answer, read by one task."""

    def __init__(
        self,
        connection: Http1Connection,
        stream: httpcore2.AsyncNetworkStream,
        answer: Answer,
        timeout: float | None,
    ) -> None:
        self._connection = connection
        self._stream = stream
        self._answer = answer
        self._timeout = timeout

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        answer = self._answer
        try:
            while not (piece := answer.take()):
                if answer.is_complete:
                    break
                answer.feed(await self._stream.read(_READ_BYTES, self._timeout))
        except BaseException:
            await self._connection.aclose()
            raise
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        await self._connection.answered(self._answer)


async def _send(stream: httpcore2.AsyncNetworkStream, request: httpcore2.Request, timeout: float | None) -> None:  # noqa: ASYNC109
    """The head leaves together with the first piece of the body."""
    waiting = _head(request)
    with suppress(httpcore2.WriteError):  # a server may refuse a request before it has read it; its answer says so
        async with aclosing(_framed(request)) as pieces:
            async for piece in pieces:
                await stream.write(waiting + piece, timeout)
                waiting = b""
        if waiting:
            await stream.write(waiting, timeout)


async def _read_head(stream: httpcore2.AsyncNetworkStream, answer: Answer, timeout: float | None) -> None:  # noqa: ASYNC109
    while True:
        answer.feed(await stream.read(_SLICE, timeout))
        if answer.has_head:
            return
        await asyncio.sleep(0)  # what is read next may be here already


def _head(request: httpcore2.Request) -> bytes:
    fields = b"".join([b"%b: %b\r\n" % (name, value) for name, value in request.headers])
    method, target = request.method, request.url.target
    if fields.count(b"\r\n") != len(request.headers) or not (
        _METHOD.fullmatch(method) and _TARGET.fullmatch(target) and _FIELDS.fullmatch(fields)
    ):
        raise httpcore2.LocalProtocolError("the request cannot be written as HTTP/1.1")
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, fields)


async def _framed(request: httpcore2.Request) -> AsyncGenerator[bytes, None]:
    """The body as its head says that it comes.

    Raises:
        httpcore2.LocalProtocolError: it is not as long as the head says.
    """
    assert isinstance(request.stream, AsyncIterable)
    length = _length(request)
    sent = 0
    async for piece in request.stream:
        sent += len(piece)
        if length is not None and sent > length:
            break
        if piece:
            yield piece if length is not None else b"%x\r\n%b\r\n" % (len(piece), piece)
    if length is None:
        yield b"0\r\n\r\n"
    elif sent != length:
        raise httpcore2.LocalProtocolError("the body is not as long as its head says")


def _length(request: httpcore2.Request) -> int | None:
    """Of the body; None if it comes in chunks."""
    given = {name.lower(): value for name, value in request.headers}
    if b"transfer-encoding" in given:
        return None
    return int(given.get(b"content-length", b"0"))
