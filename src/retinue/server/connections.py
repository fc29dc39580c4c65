"""Hypercorn's connections, as far as ours behave otherwise."""

import asyncio
import logging
import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic
from typing import Any, ClassVar

import structlog
from hypercorn.asyncio import run as hypercorn_run
from hypercorn.asyncio.tcp_server import MAX_RECV, TCPServer
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.typing import LifespanState

from retinue.server import http1
from retinue.server.address import BACKLOG
from retinue.server.heads import HeadLimits
from retinue.server.http1 import NEW_OUTLET, Http1Protocol, ServerConfig
from retinue.server.outlet import ChunkOutlet
from retinue.server.silence import Silence, Silences
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
COMPLAINT_SECONDS = 60.0
"""Between two lines in the log that say that there is no room."""

_log = structlog.get_logger(__name__)


class Connection(TCPServer):
    """Ends when its client has closed it, or takes too long over the head of a request. Hypercorn's own waits until the
    idle time is over and holds the socket.
    """

    config: ServerConfig
    _open: ClassVar[set["Connection"]] = set()
    _silent: ClassVar[dict["Connection", None]] = {}
    """Those of which no request is being answered, in the order in which they became so."""
    _quiet_until: ClassVar[float] = 0.0
    _head_deadline: float | None = None
    _ending: asyncio.TimerHandle | None = None

    async def run(self) -> None:
        if len(self._open) >= self.config.connections and not self._make_room():
            self.writer.transport.abort()
            return
        self._open.add(self)
        self._silent[self] = None
        self.state = LifespanState({**self.state, NEW_OUTLET: self._new_outlet})
        self.idle_task = Silence(Silences.of(self.context, self.config.keep_alive_timeout))
        try:
            await super().run()
        finally:
            self._forget(self)
            if self._ending is not None:
                self._ending.cancel()

    def _new_outlet(self, is_whole: Callable[[], bool]) -> ChunkOutlet:
        return ChunkOutlet(self.writer.transport, self.send_lock, is_whole)

    async def _read_data(self) -> None:
        left = LINGER_BYTES
        with suppress(OSError):
            while not self.reader.at_eof() and left > 0:
                data = await self._next_piece()
                if data is None:
                    await self._http.refuse_slow()
                elif self._ending is not None:
                    left -= len(data)
                else:
                    await self.protocol.handle(RawData(data))
                    self._watch_head()
        await self.protocol.handle(Closed())
        await self.idle_task.stop()

    async def _next_piece(self) -> bytes | None:
        """None if the rest of a head has not come in its time."""
        if self._head_deadline is None:
            return await self.reader.read(MAX_RECV)
        patience = asyncio.timeout_at(self._head_deadline)
        try:
            async with patience:
                return await self.reader.read(MAX_RECV)
        except TimeoutError:
            if not patience.expired():
                raise  # the kernel's: the client is gone
            return None

    async def protocol_send(self, event: Event) -> None:
        """Whoever is answered before he has said everything may say no more, but must be able to read the answer."""
        if isinstance(event, Closed) and self._http.is_cut_short and not self.reader.at_eof():
            self._linger()
            return
        if isinstance(event, Updated):
            self._silent.pop(self, None)
            if event.idle:
                self._silent[self] = None
        await super().protocol_send(event)

    async def _close(self) -> None:
        await self.idle_task.stop()
        if hasattr(self, "protocol"):
            self._http.can_read.end()
        await super()._close()

    def _linger(self) -> None:
        """Go on reading what is on its way: closing before it has come would reset the connection, answer included."""
        if self._ending is not None:
            return
        self._head_deadline = None
        self._silent[self] = None
        self._ending = self.loop.call_later(LINGER_SECONDS, self.writer.close)
        with suppress(OSError, RuntimeError):
            self.writer.write_eof()

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
        """The silence was too long, or the server stops."""
        if not self.reader.at_eof():
            await self._initiate_server_close()

    @classmethod
    def _make_room(cls) -> bool:
        """Break off the connection that has been silent for longest; whoever has something to ask comes again. False if
        every one is at work.
        """
        oldest = next(iter(cls._silent), None)
        if oldest is None:
            cls._complain()
            return False
        cls._forget(oldest)
        oldest.writer.transport.abort()
        return True

    @classmethod
    def _complain(cls) -> None:
        if (now := monotonic()) >= cls._quiet_until:
            cls._quiet_until = now + COMPLAINT_SECONDS
            _log.warning("connections_full", open=len(cls._open))

    @classmethod
    def _forget(cls, connection: "Connection") -> None:
        cls._open.discard(connection)
        cls._silent.pop(connection, None)

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
    config.connections = limits.connections
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
