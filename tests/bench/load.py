"""Clients that cost next to nothing: HTTP/1.1 over bare sockets, with the time that each token was under way."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import cast

from tests.bench.plan import Stamps

_LAST = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
PATIENCE = 120.0
_OPENING = 2048


class Wrong(Exception):
    """A service did not do what was asked of it, so that its figures mean nothing."""


@dataclass(slots=True)
class Told:
    """One answer. All times in microseconds."""

    status: int = 0
    asked_at: int = 0
    first_at: int = 0
    """When the first token came; 0 if there was none."""
    ended_at: int = 0
    transits: list[int] = field(default_factory=list)
    """From when each token was sent by the upstream to when it arrived here."""
    opening: bytes = b""
    """The body's first bytes."""
    tail: bytes = b""

    @property
    def took(self) -> int:
        return self.ended_at - self.asked_at


class Client(asyncio.Protocol):
    """One connection that is kept; one request at a time.

    Chunks are not counted, which would cost more than all the rest. So it would take a body for ended that has a line
    with nothing but a zero at the end of a chunk; no service here sends such a line, and one that did would be refused,
    because tokens were missing.
    """

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self.tokens = 0
        """All that have come, of all answers."""
        self._told: Told | None = None
        self._done: asyncio.Future[Told] | None = None
        self._error: Exception | None = None
        self._has_begun = asyncio.Event()
        self._stamps = Stamps()
        self._head = b""
        self._is_last = False
        """The service has said that it closes the connection after this answer."""
        self._left: int | None = None
        """Bytes of the body that are still to come; None if it is chunked."""

    @classmethod
    async def connect(cls, port: int) -> "Client":
        _, client = await asyncio.get_running_loop().create_connection(cls, "127.0.0.1", port)
        return client

    @classmethod
    @asynccontextmanager
    async def several(cls, port: int, count: int) -> AsyncIterator[list["Client"]]:
        """So many of them, closed afterwards."""
        clients = [await cls.connect(port) for _ in range(count)]
        try:
            yield clients
        finally:
            for client in clients:
                client.close()

    @property
    def is_kept(self) -> bool:
        """Whether one more question can be asked: a service may close a connection after so many."""
        return not self._is_last and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has kinds of its own

    async def ask(self, request: bytes) -> Told:
        """Send a whole request and read the whole answer."""
        self.send(request)
        return await self.told()

    def send(self, request: bytes) -> None:
        """Send a whole request; `told` has the answer.

        Raises:
            Wrong: the connection was not kept.
        """
        if not self.is_kept:
            raise Wrong(f"the connection was not kept: {self._error}")
        self._told, self._stamps, self._head = Told(asked_at=_now()), Stamps(), b""
        self._has_begun.clear()
        self._done = asyncio.get_running_loop().create_future()
        self._transport.write(request)

    async def first_token(self) -> Told:
        """What there is of the answer when its first token has come.

        Raises:
            Wrong: it ended without one.
        """
        told = self._told
        assert told is not None
        await asyncio.wait_for(self._has_begun.wait(), PATIENCE)
        if not told.first_at:
            raise Wrong(f"an answer without a token: {told.status}, {told.tail[-500:]!r}")
        return told

    async def told(self) -> Told:
        """The whole answer.

        Raises:
            Wrong: there is none.
        """
        assert self._done is not None
        return await asyncio.wait_for(self._done, PATIENCE)

    def close(self) -> None:
        """Whatever is still to come is not awaited any more."""
        if self._done is not None:
            self._done.cancel()
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        told, now = self._told, _now()
        if told is None:
            return
        if not told.status:
            self._head += data
            head, separator, data = self._head.partition(b"\r\n\r\n")
            if not separator:
                return
            told.status = int(head[9:12])
            self._is_last = _LAST.search(head) is not None
            length = _LENGTH.search(head)
            self._left = int(length[1]) if length else None
        for sent_at in self._stamps.read(data):
            told.transits.append(now - sent_at)
            self.tokens += 1
        if told.transits and not told.first_at:
            told.first_at = now
            self._has_begun.set()
        if len(told.opening) < _OPENING:
            told.opening = (told.opening + data)[:_OPENING]
        told.tail = (told.tail + data)[-4096:]
        if self._left is not None:
            self._left -= len(data)
        if self._left == 0 or (self._left is None and (b"\r\n" + told.tail).endswith(b"\r\n0\r\n\r\n")):
            told.ended_at = now
            self._end(told)

    def _end(self, told: Told) -> None:
        self._told = None
        self._has_begun.set()
        if self._done is not None and not self._done.done():
            self._done.set_result(told)

    def connection_lost(self, error: Exception | None) -> None:
        self._error = error
        self._has_begun.set()
        if self._done is not None and not self._done.done():
            self._done.set_exception(Wrong(f"the connection ended: {error}; {self._head[:200]!r}"))


def _now() -> int:
    return monotonic_ns() // 1000
