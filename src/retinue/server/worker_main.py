"""The program of a worker: `python -m retinue.server.worker_main <listener> <parent>`, both file descriptors."""

import gc

gc.disable()  # as in `retinue.__main__`

import asyncio
import signal
import socket
import sys

import msgspec
import uvloop

from retinue.db.row_security.checking import check as check_roles
from retinue.domain.errors import RetinueError
from retinue.observability.redaction import Redactor
from retinue.server.log import log_to_stderr
from retinue.server.privacy import keep_private
from retinue.server.process import serve
from retinue.server.stop import SIGNALS, Stop
from retinue.server.worker import REFUSED, Word
from retinue.settings import Settings
from retinue.settings.transfer import unpack

gc.freeze()
gc.enable()


def main(listener_fd: int, parent_fd: int) -> int:
    """Serve until told to stop, or until the parent is gone; returns the exit status."""
    listener, parent = socket.socket(fileno=listener_fd), socket.socket(fileno=parent_fd)
    with parent.makefile("rb") as lines:
        line = lines.readline()
    if not line:
        return REFUSED
    settings = unpack(line)
    if settings.workspace.enabled:
        keep_private()
    redactor = log_to_stderr(settings)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(settings, redactor, listener, parent))
    except RetinueError as error:
        _say(parent, Word(refusal=error.detail))
        return REFUSED
    return 0


async def _serve(settings: Settings, redactor: Redactor, listener: socket.socket, parent: socket.socket) -> None:
    stop = Stop()
    # A terminal or a service manager signals every process, and then the parent does so again: the second is no other
    # order than the first. Who is in a hurry tells the parent, which then kills.
    stop.catch_signals()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    parent.setblocking(False)
    loop = asyncio.get_running_loop()

    def on_parent_gone() -> None:
        loop.remove_reader(parent)
        # Whoever comes in its place needs the address soon.
        stop.hurry()

    loop.add_reader(parent, on_parent_gone)
    if not settings.database.is_sqlite:
        await check_roles(settings.database.url, settings.database.jobs_url)
    await serve(settings, redactor, listener, stop, lambda: _say(parent, Word()))


def _say(parent: socket.socket, word: Word) -> None:
    try:
        parent.sendall(msgspec.json.encode(word) + b"\n")
    except OSError:
        return


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), int(sys.argv[2])))
