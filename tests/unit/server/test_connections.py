"""How many connections there may be, and how one ends whose client has more to say."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from retinue.server import connections
from retinue.server import crowd as crowds
from retinue.server.address import listen
from retinue.server.config import config_for
from retinue.server.connections import Connection
from retinue.server.crowd import Crowd
from retinue.server.serving import serve
from retinue.settings import Settings

DEADLINE = 10.0
MOST = 3
CHUNKED = b"POST /%b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
SIZED = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"

Open = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Application:
    """Answers without reading; requests for `/held` when it is told to."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.asked = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        self.asked += 1
        if scope["path"] == "/held":
            await self.release.wait()
        await send({"type": "http.response.start", "status": 401, "headers": [(b"content-length", b"4")]})
        await send({"type": "http.response.body", "body": b"stop", "more_body": False})


@pytest.fixture
def application() -> Application:
    return Application()


@pytest.fixture
async def crowd(application: Application) -> Crowd:
    settings = Settings()
    limits = settings.limits.model_copy(update={"connections": MOST})
    return Crowd(application, config_for(settings.model_copy(update={"limits": limits})))


@pytest.fixture
async def port(crowd: Crowd) -> AsyncIterator[int]:
    listener: socket.socket = listen("127.0.0.1", 0, 5.0)
    number: int = listener.getsockname()[1]
    stop = asyncio.Event()
    task = asyncio.create_task(serve(crowd, listener, stop.wait))
    yield number
    crowd.abort_all()
    stop.set()
    await task


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(DEADLINE):
        while not is_so():  # noqa: ASYNC110 - nobody tells of it
            await asyncio.sleep(0.001)


Connect = Callable[[], Awaitable[Open]]


@pytest.fixture
async def connect(port: int) -> AsyncIterator[Connect]:
    opened: list[asyncio.StreamWriter] = []

    async def open_one() -> Open:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        opened.append(writer)
        return reader, writer

    yield open_one
    for writer in opened:
        writer.close()


async def said(reader: asyncio.StreamReader) -> bytes:
    """Everything until the connection ends, in whatever way."""
    received = b""
    with suppress(ConnectionError):
        async with asyncio.timeout(DEADLINE):
            while data := await reader.read(65_536):
                received += data
    return received


async def answered(connection: Open, path: bytes = b"/") -> bytes:
    reader, writer = connection
    writer.write(b"GET %b HTTP/1.1\r\nHost: x\r\n\r\n" % path)
    async with asyncio.timeout(DEADLINE):
        return await reader.readuntil(b"stop")


@pytest.mark.parametrize("path", [b"", b"held"])
@pytest.mark.parametrize("pieces", [b"1\r\na\r\n" * 500, (b"1000\r\n" + b"a" * 4096 + b"\r\n") * 100])
async def test_a_body_that_nobody_reads_holds_no_connection(
    application: Application, crowd: Crowd, connect: Connect, path: bytes, pieces: bytes
) -> None:
    """In whatever pieces it comes, and however late the answer is."""
    reader, writer = await connect()
    writer.write(CHUNKED % path + pieces)
    await until(lambda: application.asked > 0)
    application.release.set()
    assert (await said(reader)).endswith(b"stop")
    writer.close()
    await until(lambda: not len(crowd))


async def test_who_was_answered_may_still_send_the_rest(connect: Connect) -> None:
    """To refuse it would reset the connection, and some systems would take the answer away with that."""
    reader, writer = await connect()
    writer.write(SIZED % 1_000_000)
    assert (await reader.read()).endswith(b"stop")
    for _ in range(10):
        writer.write(b"a" * 100_000)
        await writer.drain()
        await asyncio.sleep(0.001)


async def test_who_says_nothing_any_more_is_let_go(
    crowd: Crowd, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "LINGER_SECONDS", 0.05)
    reader, writer = await connect()
    writer.write(SIZED % 10)
    assert (await reader.read()).endswith(b"stop")
    await until(lambda: not len(crowd))


async def test_who_never_stops_is_let_go(crowd: Crowd, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LINGER_SECONDS", 2 * DEADLINE)
    _, writer = await connect()
    writer.write(SIZED % 10**15)
    with suppress(ConnectionError):
        async with asyncio.timeout(DEADLINE):
            while True:
                writer.write(b"a" * 65_536)
                await writer.drain()
    await until(lambda: not len(crowd))


async def test_for_one_too_many_the_longest_silent_one_goes(crowd: Crowd, connect: Connect) -> None:
    several = [await connect() for _ in range(MOST)]
    await until(lambda: len(crowd) == MOST)
    await answered(several[0])  # which is therefore not the longest silent one any more
    newcomer = await connect()
    assert await said(several[1][0]) == b""
    for connection in (newcomer, several[0], several[2]):
        assert (await answered(connection)).startswith(b"HTTP/1.1 401")


async def test_what_is_being_answered_is_not_broken_off(application: Application, connect: Connect) -> None:
    several = [await connect() for _ in range(MOST)]
    held = [asyncio.create_task(answered(each, b"/held")) for each in several]
    await until(lambda: application.asked == MOST)
    reader, _ = await connect()
    assert await said(reader) == b""
    application.release.set()
    assert [answer[:12] for answer in await asyncio.gather(*held)] == [b"HTTP/1.1 401"] * MOST


async def test_the_connection_of_an_answer_that_never_ends_ends_with_the_server(
    application: Application, crowd: Crowd, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crowds, "CLOSE_SECONDS", 0.01)
    monkeypatch.setattr(crowds, "CANCEL_SECONDS", 0.01)
    reader, writer = await connect()
    writer.write(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: application.asked > 0)
    async with asyncio.timeout(DEADLINE):
        await crowd.close()
    assert await said(reader) == b""
    assert not crowd._tasks
    assert not len(crowd)


async def test_what_nobody_can_look_at_yet_is_left_to_the_kernel(
    application: Application, crowd: Crowd, connect: Connect
) -> None:
    """While a first request is being answered, nothing that follows is looked at."""
    _, writer = await connect()
    writer.write(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n" + b"GET / HTTP/1.1\r\n")
    await until(lambda: application.asked > 0)
    (connection,) = crowd._open
    assert isinstance(connection, Connection)
    writer.write(b"Host: x\r\n\r\n" + 500 * (b"GET / HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n" % (b"a" * 2000)))
    await until(lambda: not connection._transport.is_reading())
    assert application.asked == 1
    application.release.set()
    await until(lambda: application.asked == 502)


async def test_who_goes_with_a_request_waiting_is_let_go(
    application: Application, crowd: Crowd, connect: Connect
) -> None:
    _, writer = await connect()
    writer.write(2 * b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
    await until(lambda: application.asked > 0)
    writer.transport.abort()
    application.release.set()
    await until(lambda: not len(crowd))
    assert application.asked == 1
    assert not crowd._tasks


async def test_who_has_said_everything_still_gets_the_answer(application: Application, connect: Connect) -> None:
    reader, writer = await connect()
    writer.write(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
    writer.write_eof()
    await until(lambda: application.asked > 0)
    application.release.set()
    assert (await said(reader)).endswith(b"stop")


async def test_what_comes_as_a_whole_is_bounded_like_what_comes_in_pieces(crowd: Crowd, connect: Connect) -> None:
    reader, _ = await connect()
    await until(lambda: len(crowd) == 1)
    (connection,) = crowd._open
    assert isinstance(connection, Connection)
    connection.data_received(CHUNKED % b"" + b"2;" + b"x" * 100_000 + b"\r\n{}\r\n0\r\n\r\n")
    assert (await said(reader)).startswith(b"HTTP/1.1 400")


async def test_small_pieces_wait_together(application: Application, crowd: Crowd, connect: Connect) -> None:
    request = b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n"
    await connect()
    await until(lambda: len(crowd) == 1)
    (connection,) = crowd._open
    assert isinstance(connection, Connection)
    connection.data_received(2 * request)
    for byte in 3 * request:
        connection.data_received(bytes([byte]))
    assert connection._heard == [3 * request]
    application.release.set()
    await until(lambda: application.asked == 5)
