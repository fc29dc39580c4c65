"""Hypercorn's connections, as far as ours behave otherwise."""

import logging
import socket
from typing import Any, ClassVar

from hypercorn.asyncio import run as hypercorn_run
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config

from retinue.server import http1
from retinue.server.address import BACKLOG

CLOSE_SECONDS = 3.0
"""For connections to take their last bytes after every run has ended or was handed over."""
CANCEL_SECONDS = 1.0
"""For requests to notice that their connection was broken off, before they are cancelled."""
SHUTDOWN_SECONDS = 5.0
"""For the application to let go of its own connections."""


class Connection(TCPServer):
    """Ends when its client has closed it. Hypercorn's own waits until the idle time is over and holds the socket."""

    _open: ClassVar[set["Connection"]] = set()

    async def run(self) -> None:
        self._open.add(self)
        try:
            await super().run()
        finally:
            self._open.discard(self)

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()

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


def config_for(listener: socket.socket) -> Config:
    """Hypercorn's settings. It closes `listener` at the end."""
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.backlog = BACKLOG
    config.graceful_timeout = CLOSE_SECONDS + CANCEL_SECONDS
    config.shutdown_timeout = SHUTDOWN_SECONDS
    config.keep_alive_timeout = 75
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config
