"""Connections as httpcore2 wants them, on the event loop's own transports.

httpcore2's backend stops and starts reading around every read, which is two visits to the kernel for every token.
"""

import asyncio
import select
import socket
import ssl
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, cast

import httpcore2

SocketOption = tuple[int, int, int] | tuple[int, int, bytes | bytearray] | tuple[int, int, None, int]

_HIGH_WATER = 262_144
"""Bytes that may wait to be read before the server has to wait."""


class SocketBackend(httpcore2.AsyncNetworkBackend):
    """TCP, with TLS where it is asked for."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore2's
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Raises: httpcore2.ConnectError, httpcore2.ConnectTimeout."""
        loop = asyncio.get_running_loop()
        local = None if local_address is None else (local_address, 0)
        try:
            async with asyncio.timeout(timeout):
                _, incoming = await loop.create_connection(_Incoming, host, port, local_addr=local)
        except TimeoutError:
            raise httpcore2.ConnectTimeout("connecting took too long") from None
        except OSError as error:
            raise httpcore2.ConnectError(error) from error
        for option in socket_options or ():
            incoming.transport.get_extra_info("socket").setsockopt(*option)
        return SocketStream(incoming)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SocketStream(httpcore2.AsyncNetworkStream):
    """One connection. One task reads and one writes at a time.

    Its errors carry what they stand for as their argument, as those of httpcore2's own streams do: their cause is lost
    in the pool.
    """

    def __init__(self, incoming: "_Incoming") -> None:
        self._incoming = incoming

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ASYNC109
        """The next bytes; none after the server's last ones.

        Raises:
            httpcore2.ReadError, httpcore2.ReadTimeout
        """
        try:
            if timeout is None:
                return await self._incoming.read(max_bytes)
            async with asyncio.timeout(timeout):
                return await self._incoming.read(max_bytes)
        except TimeoutError:
            raise httpcore2.ReadTimeout("nothing came in time") from None
        except OSError as error:
            raise httpcore2.ReadError(error) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ASYNC109
        """Raises: httpcore2.WriteError, httpcore2.WriteTimeout."""
        try:
            self._incoming.write(buffer)
            if not self._incoming.may_write.is_set():
                async with asyncio.timeout(timeout):
                    await self._incoming.may_write.wait()
            self._incoming.raise_failure()
        except TimeoutError:
            raise httpcore2.WriteTimeout("the server does not read") from None
        except OSError as error:
            raise httpcore2.WriteError(error) from error

    async def aclose(self) -> None:
        """Nothing is waited for: not even for what was not sent yet."""
        self._incoming.transport.abort()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109
    ) -> httpcore2.AsyncNetworkStream:
        """Raises: httpcore2.ConnectError, httpcore2.ConnectTimeout; the connection is closed then."""
        try:
            async with asyncio.timeout(timeout):
                self._incoming.transport = await self._secured(ssl_context, server_hostname)
        except BaseException as error:
            await self.aclose()
            if isinstance(error, TimeoutError):
                raise httpcore2.ConnectTimeout("the TLS handshake took too long") from None
            if isinstance(error, OSError):  # of ssl, too
                raise httpcore2.ConnectError(error) from error
            raise
        return self

    async def _secured(self, ssl_context: ssl.SSLContext, server_hostname: str | None) -> asyncio.Transport:
        """Raises: OSError."""
        loop, incoming = asyncio.get_running_loop(), self._incoming
        secured = await loop.start_tls(incoming.transport, incoming, ssl_context, server_hostname=server_hostname)
        if secured is None:
            raise ConnectionResetError("the connection ended before TLS began")
        return secured

    def get_extra_info(self, info: str) -> Any:
        transport = self._incoming.transport
        match info:
            case "ssl_object" | "socket":
                return transport.get_extra_info(info)
            case "client_addr":
                return transport.get_extra_info("sockname")
            case "server_addr":
                return transport.get_extra_info("peername")
            case "is_readable":
                return self._incoming.has_something or _is_readable(transport.get_extra_info("socket"))
        return None


class _Incoming(asyncio.Protocol):
    """What has come and was not read yet."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.may_write = asyncio.Event()
        self.may_write.set()
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._waiter: asyncio.Future[None] | None = None
        self._has_ended = self._is_paused = False
        self._failure: Exception | None = None

    @property
    def has_something(self) -> bool:
        """Bytes, or the end."""
        return bool(self._pieces) or self._has_ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
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
        self.may_write.set()
        self._wake()

    def pause_writing(self) -> None:
        self.may_write.clear()

    def resume_writing(self) -> None:
        self.may_write.set()

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
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self._take(max_bytes)

    def _take(self, max_bytes: int) -> bytes:
        piece = self._pieces.popleft()
        if len(piece) > max_bytes:
            self._pieces.appendleft(piece[max_bytes:])
            piece = piece[:max_bytes]
        self._size -= len(piece)
        if self._is_paused and self._size <= _HIGH_WATER // 2:
            self._is_paused = False
            self.transport.resume_reading()
        return piece

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
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
