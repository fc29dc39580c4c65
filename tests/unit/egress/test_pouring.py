"""What comes is handed over where it is received, without a turn of the loop for whoever waits for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from unittest.mock import Mock

import httpx2
import pytest

from retinue.egress import sockets
from retinue.egress.http1 import Body, Http1Connection
from retinue.egress.sockets import SocketStream, _Incoming
from retinue.egress.streams import Take

PATIENCE = 10.0
HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


class Kept:
    """Takes what it is given, up to so many pieces."""

    def __init__(self, most: int = 1000) -> None:
        self.pieces: list[bytes] = []
        self._most = most

    def __call__(self, data: bytes) -> bool:
        self.pieces.append(data)
        return len(self.pieces) < self._most


@pytest.fixture
async def incoming(monkeypatch: pytest.MonkeyPatch) -> _Incoming:
    """Whatever comes counts as coming by itself."""
    monkeypatch.setattr(sockets, "QUICK_SECONDS", 0.0)
    made = _Incoming()
    made.connection_made(Mock())
    return made


@asynccontextmanager
async def pouring(stream: SocketStream | Body, take: Take) -> AsyncIterator[asyncio.Task[None]]:
    task = asyncio.create_task(stream.pour(take))
    await asyncio.sleep(0)
    try:
        async with asyncio.timeout(PATIENCE):
            yield task
    finally:
        task.cancel()


async def test_what_comes_is_handed_over_at_once_until_it_is_enough(incoming: _Incoming) -> None:
    stream, kept = SocketStream(incoming), Kept(3)
    async with pouring(stream, kept) as task:
        incoming.data_received(b"a")
        incoming.data_received(b"b")
        incoming.data_received(b"c")
        assert kept.pieces == [b"a", b"b", b"c"], "the reader has not had a turn"
        incoming.data_received(b"d")
        await task
    assert kept.pieces == [b"a", b"b", b"c"]
    assert await stream.read(9) == b"d"


async def test_what_is_there_already_is_read(incoming: _Incoming) -> None:
    incoming.data_received(b"a")
    stream, kept = SocketStream(incoming), Kept()
    async with pouring(stream, kept) as task:
        incoming.data_received(b"b")
        await task
    assert (kept.pieces, await stream.read(9)) == ([], b"ab")


async def test_what_comes_in_quick_succession_is_read_together(
    incoming: _Incoming, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sockets, "QUICK_SECONDS", PATIENCE)
    stream, kept = SocketStream(incoming), Kept()
    async with pouring(stream, kept) as task:
        incoming.data_received(b"a")
        incoming.data_received(b"b")
        incoming.data_received(b"c")
        await task
    assert (kept.pieces, await stream.read(9)) == ([b"a"], b"bc")


@pytest.mark.parametrize("error", [None, ConnectionResetError("reset")])
async def test_it_returns_at_the_end_and_reading_tells_why(
    incoming: _Incoming, error: ConnectionResetError | None
) -> None:
    stream, kept = SocketStream(incoming), Kept()
    async with pouring(stream, kept) as task:
        incoming.data_received(b"a")
        incoming.connection_lost(error)
        await task
    async with pouring(stream, kept) as task:
        await task
    assert kept.pieces == [b"a"]
    if error is None:
        assert await stream.read(9) == b""
    else:
        with pytest.raises(httpx2.ReadError):
            await stream.read(9)


async def test_nothing_is_handed_over_once_its_reader_was_cancelled(incoming: _Incoming) -> None:
    stream, kept = SocketStream(incoming), Kept()
    async with pouring(stream, kept) as task:
        incoming.data_received(b"a")
        task.cancel()
        incoming.data_received(b"b")
        with pytest.raises(asyncio.CancelledError):
            await task
        incoming.data_received(b"c")
    assert kept.pieces == [b"a"]
    assert await stream.read(9) == b"bc"


async def test_what_goes_wrong_over_it_is_the_reader_s(incoming: _Incoming) -> None:
    def fail(_: bytes) -> bool:
        raise ZeroDivisionError

    async with pouring(SocketStream(incoming), fail) as task:
        incoming.data_received(b"a")
        incoming.data_received(b"b")
        with pytest.raises(ZeroDivisionError):
            await task
    assert await SocketStream(incoming).read(9) == b"b"


async def body_of(incoming: _Incoming, *, timeout: float | None = None) -> Body:  # noqa: ASYNC109
    incoming.data_received(HEAD)
    request = httpx2.Request("GET", "http://site.example.com/", extensions={"timeout": {"read": timeout}})
    response = await Http1Connection(SocketStream(incoming), lambda _: None).ask(request)
    assert isinstance(response.stream, Body)
    return response.stream


async def rest_of(body: Body) -> list[bytes]:
    return [piece async for piece in body]


async def test_a_body_is_handed_over_without_its_frames(incoming: _Incoming) -> None:
    body, kept = await body_of(incoming), Kept()
    async with pouring(body, kept) as task:
        incoming.data_received(b"1\r\na\r\n")
        incoming.data_received(b"2\r\nb")
        incoming.data_received(b"c\r\n")
        assert kept.pieces == [b"a", b"b", b"c"]
        incoming.data_received(b"1\r\nd\r\n0\r\n\r\n")
        await task
    assert kept.pieces == [b"a", b"b", b"c", b"d"]
    assert await rest_of(body) == []


async def test_a_body_goes_on_behind_what_was_enough(incoming: _Incoming) -> None:
    body, kept = await body_of(incoming), Kept(1)
    async with pouring(body, kept) as task:
        incoming.data_received(b"1\r\na\r\n")
        incoming.data_received(b"1\r\nb\r\n0\r\n\r\n")
        await task
    assert (kept.pieces, await rest_of(body)) == ([b"a"], [b"b"])


@pytest.mark.parametrize(
    ("bytes_", "error"), [(b"wrong\r\n", httpx2.RemoteProtocolError), (None, httpx2.ReadError)], ids=["wrong", "cut"]
)
async def test_the_trouble_of_a_body_comes_after_what_came_before_it(
    incoming: _Incoming, bytes_: bytes | None, error: type[Exception]
) -> None:
    body, kept = await body_of(incoming), Kept()
    async with pouring(body, kept) as task:
        incoming.data_received(b"1\r\na\r\n" + (bytes_ or b""))
        if bytes_ is None:
            incoming.eof_received()
        await task
    assert kept.pieces == [b"a"]
    with pytest.raises(error):
        await rest_of(body)


async def test_a_taker_that_fails_costs_the_connection(incoming: _Incoming) -> None:
    def fail(_: bytes) -> bool:
        raise ZeroDivisionError

    body = await body_of(incoming)
    async with pouring(body, fail) as task:
        incoming.data_received(b"1\r\na\r\n")
        with pytest.raises(ZeroDivisionError):
            await task
    incoming.transport.abort.assert_called()  # type: ignore[attr-defined]


async def test_a_body_with_a_time_limit_is_read_piece_by_piece(incoming: _Incoming) -> None:
    body, kept = await body_of(incoming, timeout=PATIENCE), Kept()
    incoming.data_received(b"1\r\na\r\n0\r\n\r\n")
    async with pouring(body, kept) as task:
        await task
    assert (kept.pieces, await rest_of(body)) == ([], [b"a"])
