"""One process's life: take its place, serve, drain, close."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable

import structlog
from hypercorn.utils import LifespanTimeoutError

from retinue.app import Application
from retinue.db.guard import guarded
from retinue.observability.redaction import Redactor
from retinue.server.config import SHUTDOWN_SECONDS, config_for
from retinue.server.crowd import CLOSE_SECONDS, Crowd
from retinue.server.files import within_open_files
from retinue.server.garbage import settle
from retinue.server.metrics import serving_metrics
from retinue.server.serving import serve as serve_crowd
from retinue.server.stop import Stop
from retinue.settings import Settings

HAND_OVER_SECONDS = 8.0
"""For what the grace period leaves over: runs are released, streams told where to go on."""
EXIT_SECONDS = 2.0
"""For threads that wait for somebody else, such as a name server, after everything is stored and closed."""

_log = structlog.get_logger(__name__)


def stop_within(grace_seconds: float) -> float:
    """The seconds after which a process that was told to stop is gone, whatever its clients and its database do."""
    return grace_seconds + HAND_OVER_SECONDS + 2 * CLOSE_SECONDS + SHUTDOWN_SECONDS + EXIT_SECONDS


async def serve(
    settings: Settings, redactor: Redactor, listener: socket.socket, stop: Stop, on_ready: Callable[[], None]
) -> None:
    """Serve on `listener` until told to stop; return when everything is closed.

    Raises:
        AlreadyServed, Unavailable: there is no place for this process beside those that serve the database.
        MasterKeyMissing: the server's own secrets cannot be opened.
        CannotListen: the port of the metrics is taken.
    """
    settings = within_open_files(settings)
    async with guarded(settings.database.unbound_url, is_shared=settings.coordination.is_shared) as guard:
        application = Application(settings, redactor, place=lambda: guard.trouble)
        await application.check()

        async def until_drained() -> None:
            await stop.wait()
            await _drain(application, stop.grace(settings.runs.drain_seconds))

        async with serving_metrics(settings, application.metrics.render):
            settle()
            on_ready()
            try:
                await serve_crowd(Crowd(application.asgi, config_for(settings)), listener, until_drained)
            except LifespanTimeoutError:
                _log.error("not_closed_in_time")
    _log.info("stopped")
    _exit_anyway()


async def _drain(application: Application, grace_seconds: float) -> None:
    _log.info("stopping", runs=application.supervisor.active_count, grace_seconds=grace_seconds)
    try:
        async with asyncio.timeout(grace_seconds + HAND_OVER_SECONDS):
            await application.drain(grace_seconds)
    except TimeoutError:
        _log.error("not_drained_in_time", runs=application.supervisor.active_count)
    except Exception:
        # Whatever it was, leases expire, and the sockets must be closed in any case.
        _log.exception("not_drained")


def _exit_anyway() -> None:
    """Python waits for threads before it ends, even for those that nobody waits for."""
    watchdog = threading.Timer(EXIT_SECONDS, os._exit, args=(0,))
    watchdog.daemon = True
    watchdog.start()
