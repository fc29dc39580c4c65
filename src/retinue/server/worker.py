"""A worker as its parent sees it."""

import asyncio
import signal
import socket
import sys
from contextlib import suppress

import msgspec

from retinue.server.stop import SIGNALS
from retinue.settings import Settings
from retinue.settings.transfer import pack

PROGRAM = "retinue.server.worker_main"
REFUSED = 3
"""The exit status of a worker that does not start."""


class Word(msgspec.Struct, frozen=True, kw_only=True):
    """The one thing that a worker says to its parent, on a line of its own."""

    refusal: str | None = None
    """Why it does not start; None if it serves."""


class Worker:
    """A process of its own, tied to this one by a pair of sockets: when either ends, the other one notices."""

    def __init__(
        self, process: asyncio.subprocess.Process, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._process, self._reader, self._writer = process, reader, writer
        self.pid = process.pid

    @classmethod
    async def start(cls, settings: Settings, listener: socket.socket) -> "Worker":
        """Start a worker that accepts connections from `listener`, which stays open here. One at a time."""
        ours, theirs = socket.socketpair()
        with theirs:
            fds = (listener.fileno(), theirs.fileno())
            command = [sys.executable, "-m", PROGRAM, *map(str, fds)]
            # What is blocked here stays blocked in the new process until it is able to obey.
            before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
            try:
                process = await asyncio.create_subprocess_exec(*command, stdin=asyncio.subprocess.DEVNULL, pass_fds=fds)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
        reader, writer = await asyncio.open_connection(sock=ours)
        with suppress(ConnectionError):
            writer.write(pack(settings))
            await writer.drain()
        return cls(process, reader, writer)

    async def ready(self) -> str | None:
        """Wait until it serves and return None, or the reason why it never will."""
        with suppress(ConnectionError):
            if line := await self._reader.readline():
                return msgspec.json.decode(line, type=Word).refusal
        return f"A worker ended with status {await self._process.wait()} before it could serve."

    async def wait(self) -> int:
        """Its exit status, once it has ended."""
        status = await self._process.wait()
        self._writer.close()
        return status

    def terminate(self) -> None:
        """Have it stop in order. Does nothing more the second time."""
        with suppress(ProcessLookupError):
            self._process.terminate()

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self._process.kill()
