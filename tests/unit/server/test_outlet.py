"""The short way of a body: who has one, when it may be used, and what becomes of it when the client goes."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from retinue.http.outlet import OUTLET, Outlet, outlet_of
from retinue.server.address import listen
from retinue.server.config import config_for
from retinue.server.crowd import Crowd
from retinue.server.outlet import ChunkOutlet
from retinue.server.serving import serve
from retinue.settings import Settings

DEADLINE = 10.0
GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
PIECE = 1 << 16
CLOSE = b"Connection: close\r\n"


class Application:
    """Does with each request what a test says, one after the other."""

    crowd: Crowd

    def __init__(self) -> None:
        self.scopes: asyncio.Queue[tuple[Any, Any]] = asyncio.Queue()
        self.done: asyncio.Queue[None] = asyncio.Queue()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        self.scopes.put_nowait((scope, send))
        await self.done.get()

    async def asked(self) -> tuple[Any, "Answer"]:
        async with asyncio.timeout(DEADLINE):
            scope, send = await self.scopes.get()
        return outlet_of(scope), Answer(send)


class Answer:
    def __init__(self, send: Any) -> None:
        self._send = send

    async def begin(self, *headers: tuple[bytes, bytes]) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": list(headers)})

    async def body(self, body: bytes, *, more: bool = True) -> None:
        await self._send({"type": "http.response.body", "body": body, "more_body": more})


@asynccontextmanager
async def asking(application: Application, request: bytes) -> AsyncIterator[tuple[Any, Any]]:
    """A connection on which this was said."""
    listener = listen("127.0.0.1", 0, 5.0)
    number: int = listener.getsockname()[1]
    stop = asyncio.Event()
    application.crowd = Crowd(application, config_for(Settings()))
    task = asyncio.create_task(serve(application.crowd, listener, stop.wait))
    reader, writer = await asyncio.open_connection("127.0.0.1", number)
    try:
        writer.write(request)
        yield reader, writer
    finally:
        writer.close()
        application.done.put_nowait(None)
        application.crowd.abort_all()
        stop.set()
        await task


async def rest(reader: asyncio.StreamReader) -> bytes:
    async with asyncio.timeout(DEADLINE):
        return await reader.read()


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not is_so():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.001)


async def test_both_ways_lead_to_the_same_body() -> None:
    application = Application()
    async with asking(application, b"GET / HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n") as (reader, _):
        outlet, answer = await application.asked()
        assert not outlet.is_free(), "before the head nothing may be said"
        await answer.begin()
        for number, piece in enumerate([b"a", b"bc", b"x" * 17, b"d"]):
            if number % 2:
                await answer.body(piece)
            else:
                assert outlet.is_free()
                outlet.write(piece)
        await answer.body(b"", more=False)
        assert not outlet.is_free(), "after the end nothing may be said"
        told = await rest(reader)
    assert told.partition(b"\r\n\r\n")[2] == b"1\r\na\r\n2\r\nbc\r\n11\r\n%b\r\n1\r\nd\r\n0\r\n\r\n" % (b"x" * 17)


@pytest.mark.parametrize(
    ("line", "headers"),
    [(b"GET / HTTP/1.0", ()), (b"GET / HTTP/1.1", [(b"content-length", b"2")])],
    ids=["old", "sized"],
)
async def test_what_is_not_sent_in_chunks_has_to_go_the_long_way(
    line: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    application = Application()
    async with asking(application, line + b"\r\nHost: x\r\n\r\n") as (_, _):
        outlet, answer = await application.asked()
        await answer.begin(*headers)
        assert not outlet.is_free()


async def test_an_answer_without_a_body_has_none() -> None:
    application = Application()
    async with asking(application, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"):
        assert (await application.asked())[0] is None


async def test_whoever_has_not_said_everything_is_served_the_long_way() -> None:
    application = Application()
    async with asking(application, b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n") as _:
        assert (await application.asked())[0] is None


async def test_every_answer_of_a_connection_has_an_outlet_of_its_own() -> None:
    application = Application()
    async with asking(application, GET) as (reader, writer):
        first, answer = await application.asked()
        await answer.begin()
        first.write(b"1")
        await answer.body(b"", more=False)
        application.done.put_nowait(None)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n")
        second, answer = await application.asked()
        await answer.begin()
        assert not first.is_free()
        second.write(b"2")
        await answer.body(b"", more=False)
        told = await rest(reader)
    assert told.count(b"1\r\n1\r\n0\r\n\r\nHTTP/1.1 200") == 1
    assert told.endswith(b"\r\n\r\n1\r\n2\r\n0\r\n\r\n")


async def test_a_slow_reader_is_not_written_to() -> None:
    application = Application()
    async with asking(application, GET) as (reader, _):
        outlet, answer = await application.asked()
        await answer.begin()
        written = 0
        while outlet.is_free():
            outlet.write(b"x" * PIECE)
            written += PIECE
        waiting = asyncio.create_task(answer.body(b"y" * PIECE))
        await asyncio.sleep(0)
        assert not outlet.is_free(), "somebody waits to send, and nothing may overtake it"
        async with asyncio.timeout(DEADLINE):
            await reader.readuntil(b"\r\n\r\n")
            read = 0
            while not waiting.done() or not outlet.is_free():
                read += len(await reader.read(PIECE))
    assert written < 64 * 1024 * 1024, "it says so before everything is in memory"


class Idle(asyncio.WriteTransport):
    """A transport that has nothing to do."""

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


async def test_nothing_overtakes_whoever_holds_the_connection() -> None:
    lock = asyncio.Lock()
    outlet = ChunkOutlet(Idle(), lock, lambda: True)
    outlet.open()
    assert outlet.is_free()
    async with lock:
        assert not outlet.is_free()


async def gone_after(application: Application, outlet: Outlet, act: Callable[[], None]) -> int:
    called: list[None] = []
    outlet.when_gone(lambda: called.append(None))
    assert not called
    act()
    await until(lambda: bool(called))
    assert not outlet.is_free()
    later: list[None] = []
    outlet.when_gone(lambda: later.append(None))
    assert later, "who asks when it is too late is told at once"
    return len(called)


async def test_a_client_that_goes_is_told_of_once() -> None:
    application = Application()
    async with asking(application, GET) as (_, writer):
        outlet, answer = await application.asked()
        await answer.begin()
        assert await gone_after(application, outlet, writer.close) == 1


async def test_a_connection_that_is_broken_off_is_told_of() -> None:
    application = Application()
    async with asking(application, GET) as (_, _):
        outlet, answer = await application.asked()
        await answer.begin()
        assert await gone_after(application, outlet, application.crowd.abort_all) == 1


async def test_one_who_has_sent_more_than_is_read_is_noticed_when_something_is_said() -> None:
    """Whoever reads the connection waits for the first answer to end before it looks at a second request."""
    application = Application()
    async with asking(application, GET + GET) as (_, writer):
        outlet, answer = await application.asked()
        await answer.begin()
        called: list[None] = []
        outlet.when_gone(lambda: called.append(None))
        writer.transport.abort()

        def noticed() -> bool:
            if outlet.is_free():
                outlet.write(b"x")
            return bool(called)

        await until(noticed)
        application.done.put_nowait(None)
        await until(lambda: not len(application.crowd))


async def test_after_the_end_nobody_is_told() -> None:
    application = Application()
    async with asking(application, GET) as (_, writer):
        outlet, answer = await application.asked()
        await answer.begin()
        called: list[None] = []
        outlet.when_gone(lambda: called.append(None))
        await answer.body(b"", more=False)
        writer.close()
        application.done.put_nowait(None)
        await asyncio.sleep(0.01)
        assert not called


async def test_a_server_without_one_offers_none() -> None:
    assert outlet_of({"type": "http"}) is None
    assert outlet_of({"type": "http", "state": {OUTLET: None}}) is None
