"""Metrics on a port of their own, which no request of the API's clients can reach."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from retinue.http.headers import NO_STORE, SECURITY_HEADERS
from retinue.observability.exposition import CONTENT_TYPE
from retinue.server.address import CannotListen, listen
from retinue.settings import Settings

PATH = b"/metrics"
MAX_HEAD_BYTES = 16_384
SECONDS = 5.0
"""For a request to arrive, and again for its answer to be taken."""
MAX_CONNECTIONS = 16

Render = Callable[[], Awaitable[bytes]]


@asynccontextmanager
async def serving_metrics(settings: Settings, render: Render) -> AsyncIterator[None]:
    """Answer `GET /metrics` inside the block, if the settings name a port for it.

    Raises:
        CannotListen: the port is taken.
    """
    if not settings.metrics.port:
        yield
        return
    with listen(settings.metrics.host, settings.metrics.port, SECONDS) as listener:
        async with serving(listener, render):
            yield


@asynccontextmanager
async def serving(listener: socket.socket, render: Render) -> AsyncIterator[None]:
    """Answer `GET /metrics` on this socket inside the block; what is open at its end is broken off."""
    endpoint = _Endpoint(render)
    server = await asyncio.start_server(endpoint.answer, sock=listener, limit=MAX_HEAD_BYTES)
    try:
        yield
    finally:
        server.close()
        endpoint.abort()
        await server.wait_closed()


def of_worker(settings: Settings, number: int) -> Settings:
    """The settings of one worker of several: they count from `metrics.port` upwards, the first is number 1."""
    if not settings.metrics.port:
        return settings
    metrics = settings.metrics.model_copy(update={"port": settings.metrics.port + number - 1})
    return settings.model_copy(update={"metrics": metrics})


class _Endpoint:
    """One request per connection. Whoever is slow, or one too many, is cut off."""

    def __init__(self, render: Render) -> None:
        self._render = render
        self._open: set[asyncio.StreamWriter] = set()

    def abort(self) -> None:
        for writer in self._open:
            writer.transport.abort()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(self._open) >= MAX_CONNECTIONS:
            writer.transport.abort()
            return
        self._open.add(writer)
        try:
            with suppress(OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
                async with asyncio.timeout(SECONDS):
                    head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._response(head.split(b"\r\n", 1)[0]))
                async with asyncio.timeout(SECONDS):
                    await writer.drain()
                    writer.close()
                    await writer.wait_closed()
        finally:
            self._open.discard(writer)
            writer.transport.abort()

    async def _response(self, line: bytes) -> bytes:
        method, _, rest = line.partition(b" ")
        if rest.partition(b" ")[0].partition(b"?")[0] != PATH:
            return _response(b"404 Not Found", b"Ask for /metrics.\n")
        if method not in {b"GET", b"HEAD"}:
            return _response(b"405 Method Not Allowed", b"Ask with GET.\n", (b"allow", b"GET, HEAD"))
        return _response(b"200 OK", await self._render(), is_head=method == b"HEAD")


def _response(status: bytes, body: bytes, *more: tuple[bytes, bytes], is_head: bool = False) -> bytes:
    headers = (
        (b"content-type", CONTENT_TYPE.encode() if status.startswith(b"200") else b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        *SECURITY_HEADERS,
        NO_STORE,
        *more,
    )
    head = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 %b\r\n%b\r\n%b" % (status, head, b"" if is_head else body)


__all__ = ["CannotListen", "of_worker", "serving", "serving_metrics"]
