"""HTTP/1.1 by hand, as a client that notices how a body ends."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from types import TracebackType
from typing import Literal

Ending = Literal["open", "complete", "cut", "unframed"]
"""`complete`: the terminating chunk or the announced length arrived. `cut`: the connection ended before that.
`unframed`: the body has no framing, so that nobody can know."""

TIMEOUT = 30.0


class BadFraming(Exception):
    """The server's bytes are not HTTP/1.1."""


class Response:
    """A response whose body is read piece by piece. Closing it closes the connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.status = 0
        self.headers: list[tuple[str, str]] = []
        """Names in lower case, in the order of arrival."""
        self.body = bytearray()
        """Every byte of the body that has been read, without the transfer coding."""
        self.ending: Ending = "open"

    async def __aenter__(self) -> "Response":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def header(self, name: str) -> str | None:
        """The value of a header that occurs at most once."""
        found = [value for key, value in self.headers if key == name.lower()]
        if len(found) > 1:
            raise BadFraming(f"{name} occurs {len(found)} times")
        return found[0] if found else None

    async def read(self) -> bytes:
        """The whole body."""
        async for _ in self.pieces():
            pass
        return bytes(self.body)

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body as it arrives; afterwards `ending` says how it ended."""
        try:
            async for piece in self._framed():
                self.body += piece
                yield piece
        except (asyncio.IncompleteReadError, ConnectionError):
            self.ending = "cut"

    async def _framed(self) -> AsyncIterator[bytes]:
        length = self.header("content-length")
        if self.header("transfer-encoding") == "chunked":
            if length is not None:
                raise BadFraming("both Content-Length and Transfer-Encoding")
            async for piece in self._chunks():
                yield piece
        elif length is not None or self.status == 204:
            yield await self._reader.readexactly(int(length or 0))
            self.ending = "complete"
        else:
            while piece := await self._reader.read(65_536):
                yield piece
            self.ending = "unframed"

    async def _chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self._line(), 16):
            yield await self._reader.readexactly(size)
            if await self._reader.readexactly(2) != b"\r\n":
                raise BadFraming("a chunk is longer than it says")
        if await self._line():
            raise BadFraming("trailers")
        self.ending = "complete"

    async def _line(self) -> bytes:
        return (await self._reader.readuntil(b"\r\n"))[:-2]

    async def read_head(self) -> None:
        version, status, _ = (await self._line() + b" ").split(b" ", 2)
        if version != b"HTTP/1.1":
            raise BadFraming(f"{version!r}")
        self.status = int(status)
        while line := await self._line():
            name, _, value = line.decode("latin-1").partition(":")
            self.headers.append((name.lower(), value.strip()))

    async def close(self) -> None:
        self._writer.close()

    async def reset(self) -> None:
        """Go away as a crashed client does: RST, no goodbye."""
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()


async def request(
    address: str,
    method: str,
    path: str,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    within: float = TIMEOUT,
) -> Response:
    """Send a request on a connection of its own and read the head of the answer.

    Raises:
        TimeoutError: no head within so many seconds.
    """
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(within):
        reader, writer = await asyncio.open_connection(host, int(port), limit=8 * 1024 * 1024)
        response = Response(reader, writer)
        try:
            writer.write(_head(method, path, address, body, headers or {}) + (body or b""))
            await writer.drain()
            await response.read_head()
        except BaseException:
            writer.close()
            raise
    return response


def _head(method: str, path: str, address: str, body: bytes | None, headers: Mapping[str, str]) -> bytes:
    lines = {"host": address, "connection": "close"}
    if body is not None:
        lines["content-length"] = str(len(body))
    lines |= {name.lower(): value for name, value in headers.items()}
    head = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in lines.items())]
    return ("\r\n".join(head) + "\r\n\r\n").encode("latin-1")
