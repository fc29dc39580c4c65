"""A connection of a client, with Hypercorn's HTTP on it."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Any

from hypercorn.config import Config
from hypercorn.events import Closed, Event, RawData, Updated
from hypercorn.typing import ASGIReceiveEvent, ASGISendEvent, Scope

from retinue.http.eagerly import Begun
from retinue.server.crowd import Crowd
from retinue.server.http1 import Http1Protocol
from retinue.server.inbox import Inbox
from retinue.server.outlet import ChunkOutlet
from retinue.server.sending import Sending

LINGER_SECONDS = 1.0
"""For a client that was refused to stop sending: what is still on its way would take the answer with it."""
LINGER_BYTES = 4 * 1024 * 1024
PIECE_BYTES = 64 * 1024
"""Handled at a time: the parser bounds what is incomplete, and lets pass whatever comes as a whole."""
SMALL_BYTES = 4 * 1024
"""Pieces that wait one after the other and together are no more than this are one."""
UNHEARD_BYTES = 128 * 1024
"""What comes while something before it has to wait, until nothing is read any more."""


class Connection(Sending):
    """Ends when its client has closed it and its answers are over, or if a head takes too long.

    What comes is handled at once. There is a task for each answer, and one more only while what has come has to wait:
    a stream needs none to see its client go.
    """

    __slots__ = (
        "_crowd",
        "_deadline",
        "_heads",
        "_heard",
        "_http",
        "_is_deaf",
        "_left",
        "_linger_end",
        "_tasks",
        "_unheard",
    )

    _http: Http1Protocol

    def __init__(self, crowd: Crowd) -> None:
        super().__init__()
        self._crowd = crowd
        self._heard: list[bytes | None] | None = None
        """What has come and waits for what came before; the last is None if no more comes. None: nothing is being
        handled."""
        self._unheard = 0
        self._is_deaf = False
        """Nothing more comes, or nobody wants to hear it."""
        self._tasks = 0
        self._heads = 0
        """That were complete when it was last looked."""
        self._deadline: asyncio.TimerHandle | None = None
        self._linger_end: asyncio.TimerHandle | None = None
        self._left = LINGER_BYTES

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        client, server = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        if client is None or not self._crowd.admit(self):
            self._is_lost = True
            self.abort()
            return
        crowd = self._crowd
        self._http = Http1Protocol(
            crowd.app, crowd.config, crowd.context, self, {}, False, client[:2], server[:2], self._send
        )

    def data_received(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE_BYTES):
            self._receive(data[start : start + PIECE_BYTES])

    def eof_received(self) -> bool:
        """True: the answer is still to be sent."""
        if self._linger_end is None:
            self._hear(None)
        else:
            self._end_reading()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if self._is_lost:
            return  # it was refused
        super().connection_lost(error)
        for timer in (self._deadline, self._linger_end):
            if timer is not None:
                timer.cancel()
        self._http.can_read.end()
        if self._heard is not None:
            self._heard.clear()
        self._end_reading()

    def abort(self) -> None:
        self._transport.abort()

    def close_silent(self) -> None:
        if self._linger_end is None:
            self._transport.close()

    def new_outlet(self, is_whole: Callable[[], bool]) -> ChunkOutlet:
        return ChunkOutlet(self._transport, self._lock, is_whole)

    async def spawn_app(
        self, app: Any, config: Config, scope: Scope, send: Callable[[ASGISendEvent | None], Awaitable[None]]
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        """Begin to answer a request; Hypercorn asks for it by this name."""
        inbox = Inbox(config.max_app_queue_size)
        self._begin(_answer(app, config, scope, inbox.get, send))
        return inbox.put

    def _receive(self, data: bytes) -> None:
        if self._linger_end is None:
            self._hear(data)
        elif (left := self._left - len(data)) > 0:
            self._left = left
        else:
            self._end_reading()

    def _hear(self, data: bytes | None) -> None:
        self._unheard += len(data or b"")
        if self._heard is None:
            self._heard = [data]
            self._do(self._listen())
        else:
            _append(self._heard, data)
            if self._unheard > UNHEARD_BYTES:
                self._transport.pause_reading()

    async def _listen(self) -> None:
        heard = self._heard
        try:
            while heard:
                data = heard.pop(0)
                await self._http.handle(RawData(data or b""))
                self._unheard -= len(data or b"")
                if data is None:
                    self._end_reading()
            self._watch_head()
        except ConnectionError:
            self._end_reading()  # there will be no turn for what came
        finally:
            self._heard, self._unheard = None, 0
            if not self._is_deaf and not self._transport.is_closing():
                self._transport.resume_reading()

    def _end_reading(self) -> None:
        """Whoever answers hears of it; the connection ends with the last answer."""
        self._is_deaf = True
        self._do(self._http.handle(Closed()))
        self._end_if_over()

    def _end_if_over(self) -> None:
        if self._tasks or not self._is_deaf:
            return
        if self._is_lost:
            self._crowd.leave(self)
        else:
            self._close()

    def _watch_head(self) -> None:
        before, self._heads = self._heads, self._http.keep_alive_requests
        if self._deadline is not None and (self._heads != before or not self._http.is_in_head):
            self._deadline.cancel()
            self._deadline = None
        if self._deadline is None and self._http.is_in_head and self._linger_end is None:
            loop = asyncio.get_running_loop()
            self._deadline = loop.call_later(self._crowd.config.head_limits.seconds, self._refuse_slow)

    def _refuse_slow(self) -> None:
        self._deadline = None
        if self._http.is_in_head:
            self._do(self._http.refuse_slow())

    async def _send(self, event: Event) -> None:
        """What Hypercorn has to say. Whoever is answered before he has said everything may say no more, but must be
        able to read the answer.
        """
        if isinstance(event, RawData):
            try:
                await self._write(event.data)
            except (ConnectionError, RuntimeError):
                await self._http.handle(Closed())
        elif isinstance(event, Updated):
            told = self._crowd.silences.begin if event.idle else self._crowd.silences.end
            told(self)
        elif self._http.is_cut_short and not self._is_deaf:
            self._linger()
        else:
            self._close()

    def _linger(self) -> None:
        """Go on reading what is on its way: closing before it has come would reset the connection, answer included."""
        if self._linger_end is not None:
            return
        if self._deadline is not None:
            self._deadline.cancel()
        self._linger_end = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)
        self._crowd.silences.begin(self)
        with suppress(OSError, RuntimeError):
            self._transport.write_eof()

    def _close(self) -> None:
        self._crowd.silences.end(self)
        self._http.can_read.end()
        with suppress(OSError, RuntimeError):
            self._transport.write_eof()
        self._transport.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        """Carry it as far as it goes now, and the rest in a task."""
        begun = Begun(work)
        if begun.waits:
            self._begin(_rest(begun))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        self._tasks += 1
        self._crowd.begin(work, self._note_end)

    def _note_end(self, task: "asyncio.Task[None]") -> None:
        self._tasks -= 1
        self._crowd.end(task)
        if not task.cancelled() and (error := task.exception()):
            told = {"message": "a connection broke down", "exception": error, "transport": self._transport}
            asyncio.get_running_loop().call_exception_handler(told)
            self.abort()
        self._end_if_over()


def _append(heard: list[bytes | None], data: bytes | None) -> None:
    """Whoever sends byte by byte is not handled byte by byte."""
    last = heard[-1] if heard else None
    if last is not None and data is not None and len(last) + len(data) <= SMALL_BYTES:
        heard[-1] = last + data
    else:
        heard.append(data)


async def _rest(begun: Begun[None]) -> None:
    await begun


async def _answer(
    app: Any,
    config: Config,
    scope: Scope,
    receive: Callable[[], Awaitable[ASGIReceiveEvent]],
    send: Callable[[ASGISendEvent | None], Awaitable[None]],
) -> None:
    try:
        await app(scope, receive, send)
    except Exception:
        await config.log.exception("Error in ASGI Framework")
    finally:
        await send(None)
