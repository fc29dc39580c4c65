"""HTTP/1.1 as a client speaks it, on one connection."""

import asyncio
import re
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import aclosing, suppress
from typing import Any

import httpx2

from retinue.egress.answers import Answer
from retinue.egress.streams import READ_BYTES, Stream, Take

_SLICE = 4096
"""Read at once of a head, before others have their turn: heads of a few bytes take long to take apart."""
_TARGET = re.compile(rb"[!-~]+")
_TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_METHOD = re.compile(_TOKEN)
_FIELDS = re.compile(rb"(?:" + _TOKEN + rb": [\t -~\x80-\xff]*\r\n)*")
"""What may stand in a head (RFC 9110, 5.5), so that no value becomes a header of its own."""
_WRONG_LENGTH = "the body is not as long as its head says"


class Http1Connection:
    """Carries one request at a time."""

    __slots__ = ("_answer", "_on_done", "_stream")

    def __init__(self, stream: Stream, on_done: Callable[["Http1Connection"], None]) -> None:
        """
        Args:
            on_done: called when an answer is done with and the connection can carry another request.
        """
        self._stream = stream
        self._on_done = on_done
        self._answer: Answer | None = None

    @property
    def has_goodbye(self) -> bool:
        """Whether the server has said something while nothing was asked, which can only be its goodbye."""
        return self._stream.is_readable

    async def ask(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request and wait for the head of its answer. The connection is closed if it raises, and unless the
        answer is read to its end.

        Raises:
            httpx2.LocalProtocolError: the request cannot be written as HTTP/1.1.
            httpx2.RemoteProtocolError: the answer is none.
            httpx2.ReadError, httpx2.ReadTimeout, httpx2.WriteTimeout
        """
        timeouts = request.extensions.get("timeout", {})
        answer = self._answer = Answer(has_body=request.method != "HEAD")
        try:
            await _send(self._stream, request, timeouts.get("write"))
            await _read_head(self._stream, answer, timeouts.get("read"))
        except BaseException:
            self.close()
            raise
        body = Body(self, self._stream, answer, timeouts.get("read"))
        extensions: dict[str, Any] = {"http_version": answer.version, "reason_phrase": answer.reason}
        response = httpx2.Response(answer.status, headers=answer.headers, stream=body, extensions=extensions)
        answer.headers = []  # a body may take long, and whoever asked has them
        return response

    def leave(self, answer: Answer) -> None:
        """The answer is done with, read to its end or not."""
        if self._answer is not answer:
            return
        self._answer = None
        if answer.may_go_on:
            self._on_done(self)
        else:
            self.close()

    def close(self) -> None:
        self._answer = None
        self._stream.close()


class Body(httpx2.AsyncByteStream):
    """The body of an answer, read by one task. What came in one read is one piece."""

    __slots__ = ("_answer", "_connection", "_stream", "_take", "_timeout")

    _take: Take

    def __init__(self, connection: Http1Connection, stream: Stream, answer: Answer, timeout: float | None) -> None:
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
                answer.feed(await self._stream.read(READ_BYTES, self._timeout))
        except BaseException:
            self._connection.close()
            raise
        if not piece:
            raise StopAsyncIteration
        return piece

    async def pour(self, take: Take) -> None:
        """Hand over what comes as soon as it is there; see `Stream.pour`. Returns at once where reading has a time
        limit. Iterating goes on behind it.

        Raises:
            httpx2.RemoteProtocolError, httpx2.ReadError, and whatever `take` raises. The connection is closed then.
        """
        self._take = take
        try:
            if self._timeout is None and self._pass_on():
                await self._stream.pour(self._take_apart)
        except BaseException:
            self._connection.close()
            raise

    def _take_apart(self, data: bytes) -> bool:
        self._answer.feed(data)
        return self._pass_on()

    def _pass_on(self) -> bool:
        """Whether there may be more, and is wanted."""
        piece = self._answer.take()
        return (not piece or self._take(piece)) and self._answer.goes_on

    async def aclose(self) -> None:
        self._connection.leave(self._answer)


async def _send(stream: Stream, request: httpx2.Request, timeout: float | None) -> None:  # noqa: ASYNC109
    """The head leaves together with the first piece of the body."""
    waiting = _head(request)
    with suppress(httpx2.WriteError):  # a server may refuse a request before it has read it; its answer says so
        if isinstance(request.stream, httpx2.ByteStream) and (length := _length(request)) is not None:
            await stream.write(waiting + _whole(request.stream, length), timeout)
            return
        async with aclosing(_framed(request)) as pieces:
            async for piece in pieces:
                await stream.write(waiting + piece, timeout)
                waiting = b""
        if waiting:
            await stream.write(waiting, timeout)


async def _read_head(stream: Stream, answer: Answer, timeout: float | None) -> None:  # noqa: ASYNC109
    while True:
        answer.feed(await stream.read(_SLICE, timeout))
        if answer.has_head:
            return
        await asyncio.sleep(0)  # what is read next may be here already


def _head(request: httpx2.Request) -> bytes:
    headers = request.headers.raw
    fields = b"".join([b"%b: %b\r\n" % header for header in headers])
    method, target = request.method.encode(), request.url.raw_path
    if fields.count(b"\r\n") != len(headers) or not (
        _METHOD.fullmatch(method) and _TARGET.fullmatch(target) and _FIELDS.fullmatch(fields)
    ):
        raise httpx2.LocalProtocolError("the request cannot be written as HTTP/1.1")
    return b"%b %b HTTP/1.1\r\n%b\r\n" % (method, target, fields)


def _whole(body: httpx2.ByteStream, length: int) -> bytes:
    """A body that is at hand. Raises: httpx2.LocalProtocolError: see `_framed`."""
    content = b"".join(body)
    if length != len(content):
        raise httpx2.LocalProtocolError(_WRONG_LENGTH)
    return content


async def _framed(request: httpx2.Request) -> AsyncGenerator[bytes, None]:
    """The body as its head says that it comes.

    Raises:
        httpx2.LocalProtocolError: it is not as long as the head says.
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
        raise httpx2.LocalProtocolError(_WRONG_LENGTH)


def _length(request: httpx2.Request) -> int | None:
    """Of the body; None if it comes in chunks."""
    if "transfer-encoding" in request.headers:
        return None
    return int(request.headers.get("content-length", 0))
