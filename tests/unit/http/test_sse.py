"""A run's stream as the server sees it: ASGI messages, driven by hand."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest
from sse_starlette.sse import SendTimeoutError
from starlette.types import Message

from retinue.domain import events as e
from retinue.domain.errors import StreamBroken
from retinue.domain.events import RecordedEvent
from retinue.http.sse import RunStream, StreamSettings
from retinue.protocols.messages import MessagesProtocol
from tests.support.runs import every_event, recorded

DEADLINE = 5.0
QUIET = StreamSettings(ping_seconds=60)
SCOPE = {"type": "http", "method": "POST", "path": "/", "headers": []}
encode = MessagesProtocol().encoder()

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

    async def batches(self) -> Batches:
        try:
            while (batch := await self._queue.get()) is not None:
                if isinstance(batch, Exception):
                    raise batch
                yield batch
        finally:
            self.closed.set()


class Connection:
    """The server's side of one request."""

    def __init__(self) -> None:
        self.sent: asyncio.Queue[Message] = asyncio.Queue()
        self._gone = asyncio.Event()
        self.can_send = asyncio.Event()
        self.can_send.set()
        self.is_sending = asyncio.Event()
        """Set as soon as a body is being sent."""

    async def receive(self) -> Message:
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.is_sending.set()
        await self.can_send.wait()
        self.sent.put_nowait(message)

    def disconnect(self) -> None:
        self._gone.set()

    async def next(self) -> Message:
        async with asyncio.timeout(DEADLINE):
            return await self.sent.get()

    async def body(self) -> bytes:
        message = await self.next()
        assert (message["type"], message["more_body"]) == ("http.response.body", True)
        body: bytes = message["body"]
        return body


class Exchange(Connection):
    def __init__(self, settings: StreamSettings, headers: dict[str, str]) -> None:
        super().__init__()
        self.follower = Follower()
        self.stream = RunStream(self.follower.batches(), encode, settings, headers)
        self.task = asyncio.create_task(self.stream(SCOPE, self.receive, self.send))

    async def finished(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await asyncio.shield(self.task)

    async def follower_closed(self) -> None:
        async with asyncio.timeout(DEADLINE):
            await self.follower.closed.wait()


@asynccontextmanager
async def exchange(
    settings: StreamSettings = QUIET, headers: dict[str, str] | None = None
) -> AsyncGenerator[Exchange, None]:
    running = Exchange(settings, headers or {})
    try:
        yield running
    finally:
        running.task.cancel()
        await asyncio.gather(running.task, return_exceptions=True)


async def started(running: Exchange) -> dict[str, str]:
    message = await running.next()
    assert (message["type"], message["status"]) == ("http.response.start", 200)
    return {name.decode(): value.decode() for name, value in message["headers"]}


async def test_headers_go_out_at_once_and_say_exactly_this() -> None:
    async with exchange() as running:
        assert await started(running) == {
            "content-type": "text/event-stream; charset=utf-8",
            "cache-control": "no-cache",
            "x-accel-buffering": "no",
        }


async def test_a_protocol_may_add_headers_of_its_own() -> None:
    async with exchange(headers={"x-vercel-ai-ui-message-stream": "v1"}) as running:
        headers = await started(running)
    assert headers["x-vercel-ai-ui-message-stream"] == "v1"
    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert "connection" not in headers


async def test_a_batch_leaves_at_once_as_one_chunk() -> None:
    async with exchange() as running:
        await started(running)
        batch = running.follower.give(*every_event())
        assert await running.body() == b"".join(map(encode, batch))
        (token,) = running.follower.give(e.TextDelta(delta="Привет"))
        assert await running.body() == encode(token)


async def test_what_a_protocol_does_not_show_sends_nothing() -> None:
    async with exchange() as running:
        await started(running)
        running.follower.give(e.StepStarted(step=1))
        running.follower.give(e.StepStarted(step=1), e.StepStarted(step=2))
        (token,) = running.follower.give(e.TextDelta(delta="x"))
        assert await running.body() == encode(token)


async def test_a_clean_end_is_an_empty_last_chunk() -> None:
    async with exchange() as running:
        await started(running)
        running.follower.end()
        assert await running.next() == {"type": "http.response.body", "body": b"", "more_body": False}
        await running.finished()
        assert running.sent.empty()


@pytest.mark.parametrize("size", [1, 300, 1000, 5000])
async def test_chunks_are_whole_frames_of_about_the_size(size: int) -> None:
    async with exchange(StreamSettings(ping_seconds=60, chunk_bytes=size)) as running:
        await started(running)
        batch = running.follower.give(*(e.TextDelta(delta="x" * (seq % 97)) for seq in range(200)))
        running.follower.end()
        chunks: list[bytes] = []
        while (message := await running.next())["more_body"]:
            chunks.append(message["body"])
    frames = [encode(event) for event in batch]
    assert b"".join(chunks) == b"".join(frames)
    assert all(chunk.startswith(b"id: ") and chunk.endswith(b"\n\n") for chunk in chunks)
    longest = max(map(len, frames))
    assert all(len(chunk) < size + longest for chunk in chunks)
    assert all(len(chunk) >= size for chunk in chunks[:-1]), "no smaller than needed"
    assert all(chunks)


async def test_keep_alive_is_one_comment_line_and_comes_between_frames() -> None:
    async with exchange(StreamSettings(ping_seconds=0.001)) as running:
        await started(running)
        assert await running.body() == b": keep-alive\n"
        assert await running.body() == b": keep-alive\n"
        (token,) = running.follower.give(e.TextDelta(delta="x"))
        body = await running.body()
        while body == b": keep-alive\n":
            body = await running.body()
        assert body == encode(token)


async def test_a_broken_follower_breaks_the_connection_off() -> None:
    async with exchange() as running:
        await started(running)
        (token,) = running.follower.give(e.TextDelta(delta="x"))
        assert await running.body() == encode(token)
        running.follower.end(StreamBroken())
        with pytest.raises(StreamBroken):
            await running.finished()
        assert running.sent.empty(), "a last chunk would be read as success"


async def test_a_reader_that_goes_away_while_nothing_comes_closes_the_follower() -> None:
    async with exchange() as running:
        await started(running)
        running.disconnect()
        await running.finished()
        await running.follower_closed()
        assert running.sent.empty()


async def test_a_reader_that_goes_away_while_a_chunk_is_sent_closes_the_follower() -> None:
    async with exchange() as running:
        await started(running)
        running.can_send.clear()
        running.follower.give(e.TextDelta(delta="x"))
        running.follower.give(e.TextDelta(delta="y"))
        async with asyncio.timeout(DEADLINE):
            await running.is_sending.wait()
        running.disconnect()
        await running.finished()
        assert running.follower.closed.is_set(), "not some time later, when the garbage is collected"


async def test_a_reader_that_takes_nothing_is_cut_off() -> None:
    async with exchange(StreamSettings(ping_seconds=60, send_timeout=0.01)) as running:
        await started(running)
        running.can_send.clear()
        running.follower.give(e.TextDelta(delta="x"))
        with pytest.raises(SendTimeoutError):
            await running.finished()
        assert running.follower.closed.is_set()
        assert running.sent.empty()


async def test_a_failing_encoder_closes_the_follower_too() -> None:
    follower, connection = Follower(), Connection()

    def fail(_: RecordedEvent) -> bytes:
        raise ZeroDivisionError

    follower.give(e.TextDelta(delta="x"))
    stream = RunStream(follower.batches(), fail, QUIET, {})
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(ZeroDivisionError):
            await stream(SCOPE, connection.receive, connection.send)
    assert follower.closed.is_set()
