"""Hypercorn's connections, as far as ours behave otherwise."""

import asyncio
import logging
import socket
from contextlib import suppress
from typing import Any, ClassVar

from hypercorn.asyncio import run as hypercorn_run
from hypercorn.asyncio.tcp_server import MAX_RECV, TCPServer
from hypercorn.events import Closed, Event, RawData

from retinue.server import http1
from retinue.server.address import BACKLOG
from retinue.server.heads import HeadLimits
from retinue.server.http1 import Http1Protocol, ServerConfig
from retinue.settings import Settings

CLOSE_SECONDS = 3.0
"""For connections to take their last bytes after every run has ended or was handed over."""
CANCEL_SECONDS = 1.0
"""For requests to notice that their connection was broken off, before they are cancelled."""
SHUTDOWN_SECONDS = 5.0
"""For the application to let go of its own connections."""
LINGER_SECONDS = 1.0
"""For a client that was refused to stop sending: what is still on its way would take the answer with it."""
LINGER_BYTES = 4 * 1024 * 1024


class Connection(TCPServer):
    """Ends when its client has closed it, or takes too long over the head of a request. Hypercorn's own waits until the
    idle time is over and holds the socket.
    """

    config: ServerConfig
    _open: ClassVar[set["Connection"]] = set()
    _head_deadline: float | None = None
    _is_closing = False

    async def run(self) -> None:
        self._open.add(self)
        try:
            await super().run()
        finally:
            self._open.discard(self)

    async def _read_data(self) -> None:
        with suppress(OSError):
            while not self.reader.at_eof() and not self._is_closing:
                try:
                    async with asyncio.timeout_at(self._head_deadline):
                        data = await self.reader.read(MAX_RECV)
                except TimeoutError:
                    await self._http.refuse_slow()
                else:
                    await self.protocol.handle(RawData(data))
                    self._watch_head()
        if self._http.is_refused:
            await self._linger()
        await self.protocol.handle(Closed())
        await self.idle_task.stop()

    async def protocol_send(self, event: Event) -> None:
        """Whoever is refused may say no more, but must be able to read why."""
        if isinstance(event, Closed) and self._http.is_refused:
            self._is_closing = True
        else:
            await super().protocol_send(event)

    async def _linger(self) -> None:
        """Read what is still on its way: closing before it has come would reset the connection, answer included."""
        with suppress(OSError, RuntimeError):
            self.writer.write_eof()
            left = LINGER_BYTES
            async with asyncio.timeout(LINGER_SECONDS):
                while left > 0 and (data := await self.reader.read(MAX_RECV)):
                    left -= len(data)

    @property
    def _http(self) -> Http1Protocol:
        protocol = self.protocol.protocol
        assert isinstance(protocol, Http1Protocol)
        return protocol

    def _watch_head(self) -> None:
        if not self._http.is_in_head:
            self._head_deadline = None
        elif self._head_deadline is None:
            self._head_deadline = self.loop.time() + self.config.head_limits.seconds

    async def _idle_timeout(self) -> None:
        if not self.reader.at_eof():
            await super()._idle_timeout()

    @classmethod
    def abort_all(cls) -> None:
        """Break off whatever is still open.

        Hypercorn would wait until each has sent what it had to send, however long its client takes.
        """
        for connection in cls._open:
            connection.writer.transport.abort()


def install() -> None:
    """Have Hypercorn make connections of this kind."""
    http1.install()
    made_by: Any = hypercorn_run
    made_by.TCPServer = Connection


def config_for(listener: socket.socket, settings: Settings) -> ServerConfig:
    """Hypercorn's settings. It closes `listener` at the end."""
    limits = settings.limits
    config = ServerConfig()
    config.head_limits = HeadLimits(
        target_bytes=limits.target_bytes,
        headers=limits.headers,
        header_bytes=limits.header_bytes,
        seconds=limits.head_seconds,
    )
    config.h11_max_incomplete_size = config.head_limits.total_bytes
    config.bind = [f"fd://{listener.detach()}"]
    config.backlog = BACKLOG
    config.graceful_timeout = CLOSE_SECONDS + CANCEL_SECONDS
    config.shutdown_timeout = SHUTDOWN_SECONDS
    config.keep_alive_timeout = limits.idle_seconds
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config
