"""What comes for an application: the pieces of a request's body, and that its client has gone."""

import asyncio

from hypercorn.typing import ASGIReceiveEvent


class Inbox:
    """Holds so many pieces, and lets whoever brings one more wait. Its end waits for nobody: an application that has
    answered without reading the body never takes what is here, and the connection has to end all the same.
    """

    __slots__ = ("_is_closed", "_messages", "_room", "_waiting")

    def __init__(self, room: int) -> None:
        self._room = room
        self._messages: list[ASGIReceiveEvent] = []
        self._is_closed = False
        self._waiting: list[asyncio.Future[None]] = []

    async def put(self, message: ASGIReceiveEvent) -> None:
        """Wait for room. What comes after the end is dropped, also if it was waiting."""
        if message["type"] == "http.disconnect":
            self._is_closed = True
        else:
            while not self._is_closed and len(self._messages) >= self._room:
                await self._change()
            if not self._is_closed:
                self._messages.append(message)
        self._tell()

    async def get(self) -> ASGIReceiveEvent:
        """The next one; when all are taken, the end, as often as it is asked for."""
        while not self._is_closed and not self._messages:
            await self._change()
        if not self._messages:
            return {"type": "http.disconnect"}
        message = self._messages.pop(0)
        self._tell()
        return message

    async def _change(self) -> None:
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
