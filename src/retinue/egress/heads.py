"""How much a server may send before its answer begins."""

import asyncio
import ssl
from typing import Any

import httpcore2

MAX_HEAD = 131_072
"""Bytes before an answer's body, with all that only says that the answer will take a moment. Of a single head h11 takes
100 KiB."""
_SLICE = 4096
"""Read at once of a head, before others have their turn: heads of a few bytes take long to take apart."""


class HeadBoundStream(httpcore2.AsyncNetworkStream):
    """A connection over which no answer is preceded by more than `MAX_HEAD` bytes.

    A request opens the account, and `answered` closes it: the body that follows is counted by whoever reads it.
    """

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream
        self._left: int | None = None
        """Null while a body is read."""

    def answered(self) -> None:
        """The head is complete."""
        self._left = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109 - httpcore2's
        if self._left is None:
            return await self._stream.read(max_bytes, timeout)
        if self._left <= 0:
            raise httpcore2.RemoteProtocolError("the answer's head does not end")
        if self._left < MAX_HEAD:
            await asyncio.sleep(0)  # under TLS, what is read next may be here already
        data = await self._stream.read(min(max_bytes, _SLICE), timeout)
        self._left -= len(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        self._left = MAX_HEAD
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        return HeadBoundStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
