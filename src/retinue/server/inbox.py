"""What comes for an application: the pieces of a request's body, and that its client has gone."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import hypercorn.asyncio.tcp_server
from hypercorn.asyncio.task_group import TaskGroup, _handle
from hypercorn.config import Config
from hypercorn.typing import AppWrapper, ASGIReceiveEvent, ASGISendEvent, Scope


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


class Tasks(TaskGroup):
    """Hypercorn's own puts the end of a request into a queue, and waits for ever if that is full."""

    async def spawn_app(
        self,
        app: AppWrapper,
        config: Config,
        scope: Scope,
        send: Callable[[ASGISendEvent | None], Awaitable[None]],
    ) -> Callable[[ASGIReceiveEvent], Awaitable[None]]:
        inbox = Inbox(config.max_app_queue_size)
        self.spawn(_handle, app, config, scope, inbox.get, send, partial(self._loop.run_in_executor, None), _no_thread)
        return inbox.put


def _no_thread(_work: Callable[..., Any], *_arguments: Any) -> Any:
    raise RuntimeError("only an application in a thread of its own calls the loop from there")


def install() -> None:
    """Have Hypercorn's connections hand over requests like this."""
    made_by: Any = hypercorn.asyncio.tcp_server
    made_by.TaskGroup = Tasks
