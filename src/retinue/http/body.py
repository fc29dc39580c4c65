"""A request body that must be small and quick."""

import asyncio

from litestar.types import Receive, ReceiveMessage

from retinue.domain.errors import BodyTooLarge, MalformedBody, RequestTimeout
from retinue.http.eagerly import Begun

MAX_PIECES = 8192
"""Each costs as much as a small request, however little is in it; one packet of the network is one, or less."""


class LimitedBody:
    """`receive` that counts bytes and watches the clock until the body is complete, and nothing after that.

    The clock starts with the first read, so that a request which is refused earlier never waits for its body.

    Raises:
        BodyTooLarge: more than `max_bytes` came, or more than `MAX_PIECES`.
        RequestTimeout: the body took longer than `seconds`.
        MalformedBody: the client went away in the middle.
    """

    __slots__ = ("_deadline", "_is_complete", "_max_bytes", "_pieces", "_receive", "_received", "_seconds")

    def __init__(self, receive: Receive, max_bytes: int, seconds: float) -> None:
        self._receive = receive
        self._max_bytes = max_bytes
        self._seconds = seconds
        self._deadline: float | None = None
        self._received = self._pieces = 0
        self._is_complete = False

    async def __call__(self) -> ReceiveMessage:
        if self._is_complete:
            return await self._receive()
        message = await self._next()
        if message["type"] != "http.request":
            raise MalformedBody("The body ended early.")
        self._received += len(message.get("body", b""))
        if self._received > self._max_bytes:
            raise BodyTooLarge(f"A body may have {self._max_bytes} bytes.")
        self._pieces += 1
        if self._pieces > MAX_PIECES:
            raise BodyTooLarge(f"A body may come in {MAX_PIECES} pieces.")
        self._is_complete = not message.get("more_body", False)
        return message

    async def _next(self) -> ReceiveMessage:
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._seconds
        receiving = Begun(self._receive())
        if not receiving.waits:
            return receiving.result
        try:
            async with asyncio.timeout_at(self._deadline):
                return await receiving
        except TimeoutError:
            raise RequestTimeout(f"The body must arrive within {self._seconds:g} seconds.") from None
