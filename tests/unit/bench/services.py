"""Services in this process, for a benchmark to measure."""

from asyncio import (
    IncompleteReadError,
    StreamReader,
    StreamWriter,
    Task,
    current_task,
    gather,
    get_running_loop,
    sleep,
    start_server,
)
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from os import getpid

from tests.bench.contenders.base import post, refuse_incomplete
from tests.bench.load import Told
from tests.bench.plan import Plan, stamp
from tests.bench.services.floor import _Asking, _Client
from tests.bench.services.relay import Relay
from tests.bench.services.upstream import Upstream

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
Handler = Callable[[StreamReader, StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """The port on which it is."""
    connections: list[tuple[StreamWriter, Task[None] | None]] = []

    async def handle(reader: StreamReader, writer: StreamWriter) -> None:
        connections.append((writer, current_task()))
        try:
            await handler(reader, writer)
        except (IncompleteReadError, ConnectionError):
            writer.close()

    async with await start_server(handle, "127.0.0.1", 0) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for writer, _ in connections:
                writer.close()
            await gather(*(task for _, task in connections if task))


@asynccontextmanager
async def listening(protocol: Callable[[], Upstream | _Client]) -> AsyncIterator[int]:
    """The same for a protocol."""
    made: list[Upstream | _Client] = []

    def make() -> Upstream | _Client:
        made.append(protocol())
        return made[-1]

    async with await get_running_loop().create_server(make, "127.0.0.1", 0) as server:
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            for each in made:
                each._transport.close()
            await sleep(0)  # transports are closed in the loop's next turn


@asynccontextmanager
async def upstream() -> AsyncIterator[int]:
    loop = get_running_loop()
    async with listening(lambda: Upstream(loop)) as port:
        yield port


@asynccontextmanager
async def relay(upstream: int) -> AsyncIterator[int]:
    own = Relay(upstream)
    async with serving(own.serve) as port:
        yield port
        for _, writer in own._idle:
            writer.close()


@asynccontextmanager
async def floor(upstream: int) -> AsyncIterator[int]:
    idle: list[_Asking] = []
    async with listening(lambda: _Client(idle, upstream)) as port:
        yield port
        for asking in idle:
            asking._transport.close()


def answering(*pieces: bytes) -> Handler:
    """Every request gets these bytes, each in a write of its own, and then silence."""

    async def handle(reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            await reader.readuntil(b"\r\n\r\n")
            for piece in pieces:
                writer.write(piece)
                await writer.drain()

    return handle


def chunk(text: str) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text), text.encode())


def losing(losses: int) -> Handler:
    """Answers as many tokens as are asked for, without so many of them; the end is always told."""

    async def handle(reader: StreamReader, writer: StreamWriter) -> None:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            plan = Plan.last_of(await reader.readexactly(int(head.rpartition(b": ")[2])))
            writer.write(HEAD)
            for _ in range(plan.tokens - losses):
                writer.write(chunk(stamp()))
                await sleep(plan.gap_ms / 1000)
            writer.write(chunk("[DONE]") + b"0\r\n\r\n")

    return handle


class Service:
    """A contender in this process; its costs are those of the test."""

    def __init__(self, port: int) -> None:
        self.name, self.port, self.pids = "service", port, [getpid()]
        self.asked: Counter[int] = Counter()

    async def prepare(self, clients: int, turns: int) -> None:
        pass

    def ask(self, client: int, plan: Plan) -> bytes:
        self.asked[client] += 1
        return post("/", str(plan).encode())

    def check(self, told: Told, plan: Plan) -> None:
        refuse_incomplete(told, plan, b"[DONE]")

    async def lag(self) -> None:
        pass
