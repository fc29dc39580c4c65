"""Connections on the event loop's own transports.

httpcore2's backend stops and starts reading around every read, which is two visits to the kernel for every token.
"""

import asyncio
import select
import socket
import ssl
from contextlib import suppress
from typing import cast

import httpx2

from retinue.egress.streams import Network, Stream, Take

_HIGH_WATER = 262_144
"""Bytes that may wait to be read before the server has to wait."""
QUICK_SECONDS = 0.001
"""What comes so soon after something else is not handed over by itself: a few pieces together cost what one does."""


class Sockets(Network):
    """TCP, with TLS where it is asked for."""

    async def connect(self, host: str, port: int, timeout: float | None = None) -> Stream:  # noqa: ASYNC109
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(timeout):
                _, incoming = await loop.create_connection(_Incoming, host, port)
        except TimeoutError:
            raise httpx2.ConnectTimeout("connecting took too long") from None
        except OSError as error:
            raise httpx2.ConnectError(str(error)) from error
        return SocketStream(incoming)


class SocketStream(Stream):
    """Its errors are caused by what they stand for."""

    __slots__ = ("_incoming",)

    def __init__(self, incoming: "_Incoming") -> None:
        self._incoming = incoming

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        try:
            if timeout is None:
                return await self._incoming.read(max_bytes)
            async with asyncio.timeout(timeout):
                return await self._incoming.read(max_bytes)
        except TimeoutError:
            raise httpx2.ReadTimeout("nothing came in time") from None
        except OSError as error:
            raise httpx2.ReadError(str(error)) from error

    async def pour(self, take: Take) -> None:
        """`take` is called as soon as something comes, without a turn of the loop for whoever waits here. It returns
        as soon as pieces come in quick succession, which are better read together.
        """
        await self._incoming.pour(take)

    async def write(self, data: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        try:
            self._incoming.write(data)
            if (room := self._incoming.room) is not None:
                async with asyncio.timeout(timeout):
                    await room.wait()
            self._incoming.raise_failure()
        except TimeoutError:
            raise httpx2.WriteTimeout("the server does not read") from None
        except OSError as error:
            raise httpx2.WriteError(str(error)) from error

    def close(self) -> None:
        self._incoming.transport.abort()

    async def start_tls(self, context: ssl.SSLContext, name: str, timeout: float | None = None) -> None:  # noqa: ASYNC109
        try:
            async with asyncio.timeout(timeout):
                self._incoming.transport = await self._secured(context, name)
        except BaseException as error:
            self.close()
            if isinstance(error, TimeoutError):
                raise httpx2.ConnectTimeout("the TLS handshake took too long") from None
            if isinstance(error, OSError):  # of ssl, too
                raise httpx2.ConnectError(str(error)) from error
            raise

    async def _secured(self, context: ssl.SSLContext, name: str) -> asyncio.Transport:
        """Raises: OSError."""
        loop, incoming = asyncio.get_running_loop(), self._incoming
        secured = await loop.start_tls(incoming.transport, incoming, context, server_hostname=name)
        if secured is None:
            raise ConnectionResetError("the connection ended before TLS began")
        return secured

    @property
    def is_readable(self) -> bool:
        return self._incoming.has_something or _is_readable(self._incoming.transport.get_extra_info("socket"))


class _Incoming(asyncio.Protocol):
    """What has come and was not read yet."""

    __slots__ = (
        "_failure",
        "_has_ended",
        "_is_paused",
        "_loop",
        "_pieces",
        "_poured_at",
        "_size",
        "_take",
        "_waiter",
        "room",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.room: asyncio.Event | None = None
        """Set when more can be written; null as long as it can."""
        self._pieces: list[bytes] = []
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._take: Take | None = None
        self._poured_at = 0.0
        self._has_ended = self._is_paused = False
        self._failure: Exception | None = None

    @property
    def has_something(self) -> bool:
        """Bytes, or the end."""
        return bool(self._pieces) or self._has_ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        if self._take is not None and self._is_waited_for and self._comes_alone():
            self._pass_on(data, self._take)
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER and not self._is_paused:
            self._is_paused = True
            self.transport.pause_reading()
        self._wake()

    def eof_received(self) -> bool:
        self._has_ended = True
        self._wake()
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self._has_ended = True
        self._failure = error
        self.resume_writing()
        self._wake()

    def pause_writing(self) -> None:
        self.room = asyncio.Event()

    def resume_writing(self) -> None:
        if self.room is not None:
            self.room.set()
            self.room = None

    def write(self, data: bytes) -> None:
        """Raises: OSError."""
        self.raise_failure()
        if self.transport.is_closing():
            raise ConnectionResetError("the connection is closed")
        self.transport.write(data)

    def raise_failure(self) -> None:
        """Raises: OSError: why the connection was lost."""
        if self._failure is not None:
            raise self._failure if isinstance(self._failure, OSError) else ConnectionError(str(self._failure))

    async def read(self, max_bytes: int) -> bytes:
        while not self._pieces:
            self.raise_failure()
            if self._has_ended:
                return b""
            await self._more()
        return self._next(max_bytes)

    async def pour(self, take: Take) -> None:
        if self.has_something:
            return
        self._take = take
        try:
            await self._more()
        finally:
            self._take = None

    async def _more(self) -> None:
        """Wait until there is something to look at."""
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _comes_alone(self) -> bool:
        """Whether nothing else came just before it."""
        before, self._poured_at = self._poured_at, self._loop.time()
        return self._poured_at - before >= QUICK_SECONDS

    def _pass_on(self, data: bytes, take: Take) -> None:
        try:
            if not take(data):
                self._wake()
        except Exception as error:
            assert self._waiter is not None
            self._waiter.set_exception(error)

    def _next(self, max_bytes: int) -> bytes:
        pieces, self._pieces = self._pieces, []
        taken = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        if len(taken) > max_bytes:
            self._pieces.append(taken[max_bytes:])
            taken = taken[:max_bytes]
        self._size -= len(taken)
        if self._is_paused and self._size <= _HIGH_WATER // 2:
            self._is_paused = False
            self.transport.resume_reading()
        return taken

    @property
    def _is_waited_for(self) -> bool:
        return self._waiter is not None and not self._waiter.done()

    def _wake(self) -> None:
        if self._waiter is not None and self._is_waited_for:
            self._waiter.set_result(None)


def _is_readable(sock: socket.socket | None) -> bool:
    """Whether something came that the event loop has not looked at yet; also if the socket is gone."""
    number = -1 if sock is None else sock.fileno()
    if number < 0:
        return True
    with suppress(OSError):
        poll = select.poll()
        poll.register(number, select.POLLIN)
        return bool(poll.poll(0))
    return True
