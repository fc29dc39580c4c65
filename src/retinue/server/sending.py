"""The side of a connection that sends."""

import asyncio
from typing import cast


class Sending(asyncio.Protocol):
    """One piece after the other, each as soon as there is room for it."""

    __slots__ = ("_is_full", "_is_lost", "_lock", "_room", "_transport")

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._is_full = self._is_lost = False
        self._room: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop has kinds of its own

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        self._tell()

    def connection_lost(self, _error: Exception | None) -> None:
        self._is_lost = True
        self._tell()

    async def _write(self, data: bytes) -> None:
        """
        Raises:
            ConnectionError, RuntimeError: nothing can be sent any more.
        """
        async with self._lock:
            self._transport.write(data)
            if self._transport.is_closing():
                await asyncio.sleep(0)  # in which the loop tells that the connection is lost
            while self._is_full and not self._is_lost:
                self._room = asyncio.get_running_loop().create_future()
                await self._room
            if self._is_lost:
                raise ConnectionResetError

    def _tell(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)
        self._room = None
