"""One exchange as the server sees it: ASGI messages, driven by hand."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import Message

from retinue.coordination.base import Sink
from retinue.domain import events as e
from retinue.domain.events import RecordedEvent
from retinue.http.outlet import OUTLET
from retinue.http.sse import Feed, RunStream, StreamSettings
from retinue.protocols.base import Protocol
from retinue.protocols.messages import MessagesProtocol
from tests.support.runs import RUN_ID, end_fields, recorded

DEADLINE = 5.0
QUIET = StreamSettings(ping_seconds=60)
SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": []}
PROTOCOL = MessagesProtocol()
encode = PROTOCOL.encoder()
END = e.RunCompleted(**end_fields())

Batches = AsyncGenerator[Sequence[RecordedEvent], None]


class Follower:
    """Yields what a test hands it, and remembers how it ended."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Sequence[RecordedEvent] | Exception | None] = asyncio.Queue()
        self.closed = asyncio.Event()

    def give(self, *events: e.RunEvent) -> list[RecordedEvent]:
        batch = recorded(events)
        self._queue.put_nowait(batch)
        return batch

    def end(self, error: Exception | None = None) -> None:
        self._queue.put_nowait(error)

    async def batches(self, sink: Sink | None) -> Batches:
        try:
            while (batch := await self._queue.get()) is not None:
                if isinstance(batch, Exception):
                    raise batch
                is_end = any(event.is_terminal or event.is_pause for event in batch)
                if sink is None or is_end or not sink(batch):
                    yield batch
        finally:
            self.closed.set()


offered = {"outlet": False}
"""What the server of a test's exchanges has."""


class Connection:
    """The server's side of one request, and its outlet."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self._gone = asyncio.Event()
        self.can_send = asyncio.Event()
        self.can_send.set()
        self.is_sending = asyncio.Event()
        """Set as soon as a body is being sent."""
        self._call: Callable[[], None] | None = None
        self.scope = {**SCOPE, "state": {OUTLET: self if offered["outlet"] else None}}

    async def receive(self) -> Any:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.is_sending.set()
        await self.can_send.wait()
        self.sent.put_nowait(message)

    def is_offered(self) -> bool:
        return True

    def is_free(self) -> bool:
        return self.can_send.is_set()

    def write(self, piece: bytes) -> None:
        self.sent.put_nowait({"type": "http.response.body", "body": piece, "more_body": True})

    def when_gone(self, call: Callable[[], None] | None) -> None:
        self._call = call
        if self._gone.is_set() and call is not None:
            call()

    def disconnect(self) -> None:
        self._gone.set()
        if self._call is not None:
            self._call()

    async def next(self) -> Message:
        async with asyncio.timeout(DEADLINE):
            return await self.sent.get()

    async def body(self) -> bytes:
        message = await self.next()
        assert (message["type"], message["more_body"]) == ("http.response.body", True)
        body: bytes = message["body"]
        return body


class Exchange(Connection):
    def __init__(self, settings: StreamSettings, protocol: Protocol, **feed: Any) -> None:
        super().__init__()
        self.follower = Follower()
        self.gone = 0
        given = {"run_id": RUN_ID, "on_gone": self._note_gone, **feed}
        self.stream = RunStream(Feed(follow=self.follower.batches, **given), protocol, settings)
        self.task = asyncio.create_task(self.stream(self.scope, self.receive, self.send))

    def _note_gone(self) -> None:
        self.gone += 1

    async def finished(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await asyncio.shield(self.task)

    async def follower_closed(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await self.follower.closed.wait()


@asynccontextmanager
async def exchange(
    settings: StreamSettings = QUIET, protocol: Protocol = PROTOCOL, **feed: Any
) -> AsyncGenerator[Exchange, None]:
    running = Exchange(settings, protocol, **feed)
    try:
        yield running
    finally:
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)


async def started(running: Exchange) -> dict[str, str]:
    message = await running.next()
    assert (message["type"], message["status"]) == ("http.response.start", 200)
    return {name.decode(): value.decode() for name, value in message["headers"]}
