"""Serving: the address, the signals, and one process or several around the application.

Hypercorn alone would cut open streams first and tell the application afterwards. Here a first SIGTERM or SIGINT makes
the process not ready, lets running answers finish for the grace period, hands over the rest, and only then closes the
sockets. A second signal ends the process at once.
"""

import asyncio
import socket
from collections.abc import Callable

import uvloop

from retinue.db.guard import AlreadyServed
from retinue.observability.redaction import Redactor
from retinue.server.address import CannotListen, base_url, listen, url_of
from retinue.server.privacy import keep_private
from retinue.server.process import serve
from retinue.server.stop import FORCED_EXIT, Stop
from retinue.server.workers import WorkerFailed, supervise
from retinue.settings import Settings

__all__ = ["FORCED_EXIT", "AlreadyServed", "CannotListen", "WorkerFailed", "base_url", "run", "url_of"]


def run(settings: Settings, redactor: Redactor, *, on_listening: Callable[[str], None] = lambda _: None) -> None:
    """Serve until a signal says stop.

    Args:
        redactor: the log's; it gets to know the secrets that the process opens.
        on_listening: told the base URL once requests are served.

    Raises:
        AlreadyServed: another process serves the same database, and the two cannot do so together.
        CannotListen: the address cannot be bound.
        WorkerFailed: one of several processes did not start.
    """
    if settings.workspace.enabled:
        # Commands of employees run as the same user.
        keep_private()
    with listen(settings.host, settings.port, settings.stream.send_timeout_seconds) as listener:
        url = base_url(listener)
        if settings.workers > 1:
            asyncio.run(supervise(settings, listener, lambda: on_listening(url)))
            return
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve_alone(settings, redactor, listener, lambda: on_listening(url)))


async def _serve_alone(
    settings: Settings, redactor: Redactor, listener: socket.socket, on_ready: Callable[[], None]
) -> None:
    stop = Stop()
    stop.catch_signals(on_second=stop.force)
    await serve(settings, redactor, listener, stop, on_ready)
