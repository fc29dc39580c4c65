"""One process: Hypercorn around the application, with the signals in our own hands.

Hypercorn alone would cut open streams first and tell the application afterwards. Here a first SIGTERM or SIGINT makes
the process not ready, lets running answers finish for the grace period, ends the rest with a terminal event, and only
then closes the sockets. A second signal ends the process at once.
"""

import asyncio
import fcntl
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog
import uvloop
from hypercorn.asyncio import run as hypercorn_run
from hypercorn.asyncio import serve as hypercorn_serve
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config

from retinue.app import Application, sqlite_file
from retinue.domain.errors import RetinueError
from retinue.observability.redaction import Redactor
from retinue.settings import Settings

_log = structlog.get_logger(__name__)

BACKLOG = 1024
CLOSE_SECONDS = 3.0
"""For connections to take their last bytes after every run has ended."""
FORCED_EXIT = 130


class CannotListen(RetinueError):
    """The address is taken or not ours."""


class AlreadyServed(RetinueError):
    """SQLite is for one process; PostgreSQL takes any number."""


class _Connection(TCPServer):
    """Ends when its client has closed it. Hypercorn's own waits until the idle time is over and holds the socket."""

    async def _read_data(self) -> None:
        await super()._read_data()
        await self.idle_task.stop()

    async def _idle_timeout(self) -> None:
        if not self.reader.at_eof():
            await super()._idle_timeout()


def run(settings: Settings, redactor: Redactor, *, on_listening: Callable[[str], None] = lambda _: None) -> None:
    """Serve until a signal says stop.

    Args:
        redactor: the log's; it gets to know the secrets that the process opens.
        on_listening: told the base URL once the socket accepts connections.

    Raises:
        AlreadyServed: another process serves the same SQLite file.
        CannotListen: the address cannot be bound.
    """
    with _sole_server(sqlite_file(settings.database.url)):
        listener = _listen(settings.host, settings.port)
        _let_go_of_dead_readers(listener, settings.stream.send_timeout_seconds)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, redactor, listener, on_listening))


async def _serve(
    settings: Settings, redactor: Redactor, listener: socket.socket, on_listening: Callable[[str], None]
) -> None:
    application = Application(settings, redactor)
    stop = _catch_signals()
    on_listening(base_url(listener))

    async def until_drained() -> None:
        await stop.wait()
        _log.info("stopping", runs=application.supervisor.active_count)
        await application.drain(settings.runs.drain_seconds)

    hypercorn_run.TCPServer = _Connection  # type: ignore[attr-defined]
    await hypercorn_serve(application.asgi, _config(listener), shutdown_trigger=until_drained)  # type: ignore[arg-type]
    _log.info("stopped")


def base_url(listener: socket.socket) -> str:
    """The address as a client types it, also where port 0 took a free one."""
    host, port = listener.getsockname()[:2]
    return url_of(host, port)


def url_of(host: str, port: int) -> str:
    """The base URL; an IPv6 address needs brackets in it."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


@contextmanager
def _sole_server(database_file: Path | None) -> Iterator[None]:
    """Hold a lock beside a SQLite file; the kernel lets go of it however the process ends."""
    if database_file is None:
        yield
        return
    with database_file.with_name(f"{database_file.name}.lock").open("wb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise AlreadyServed(
                f"Another process serves {database_file}. SQLite is for one process; use PostgreSQL for more."
            ) from None
        yield


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except OSError as error:
        raise CannotListen(f"Cannot listen on {host}:{port}: {error.strerror or error}") from None


def _let_go_of_dead_readers(listener: socket.socket, seconds: float) -> None:
    """Have the kernel reset connections, inherited from their listener, whose peer takes nothing for so long.

    Hypercorn closes a connection by sending what is left. To a reader that was cut off because it reads nothing that
    would take for ever, and hold the socket as long.
    """
    if option := getattr(socket, "TCP_USER_TIMEOUT", None):  # Linux
        listener.setsockopt(socket.IPPROTO_TCP, option, round(seconds * 1000))


def _config(listener: socket.socket) -> Config:
    config = Config()
    config.bind = [f"fd://{listener.detach()}"]
    config.backlog = BACKLOG
    config.graceful_timeout = CLOSE_SECONDS
    config.keep_alive_timeout = 75
    config.include_server_header = False
    config.accesslog = None
    config.errorlog = logging.getLogger("hypercorn.error")
    return config


def _catch_signals() -> asyncio.Event:
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            os._exit(FORCED_EXIT)
        stop.set()

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return stop
