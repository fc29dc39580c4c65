"""What the server below the application answers by itself."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from retinue.http.headers import SECURITY_HEADERS
from retinue.server.address import listen
from retinue.server.config import config_for
from retinue.server.crowd import Crowd
from retinue.server.serving import serve
from retinue.settings import Settings

GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def live(receive: Any, send: Any) -> None:
    for kind in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{kind}.complete"})


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers nothing."""
    if scope["type"] == "lifespan":
        await live(receive, send)


async def in_pieces(scope: Any, receive: Any, send: Any) -> None:
    """An application whose answer has as many pieces as the path says, and a length if the path has a query."""
    if scope["type"] == "lifespan":
        await live(receive, send)
        return
    count = int(scope["path"][1:])
    length = [(b"content-length", b"%d" % (2 * count))] if scope["query_string"] else []
    await send({"type": "http.response.start", "status": 200, "headers": length})
    for _ in range(count):
        await send({"type": "http.response.body", "body": b"ab", "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


@asynccontextmanager
async def serving(app: Any) -> AsyncIterator[int]:
    listener: socket.socket = listen("127.0.0.1", 0, 5.0)
    number: int = listener.getsockname()[1]
    stop = asyncio.Event()
    task = asyncio.create_task(serve(Crowd(app, config_for(Settings())), listener, stop.wait))
    yield number
    stop.set()
    await task


async def asked(port: int, *requests: bytes) -> bytes:
    """All that comes back, on one connection that the last request closes."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"".join(requests))
        answer = await reader.read()
        writer.close()
    return answer


async def test_an_application_that_says_nothing_is_answered_for_with_the_headers() -> None:
    async with serving(silent) as port:
        head = (await asked(port, GET)).partition(b"\r\n\r\n")[0]
    assert head.startswith(b"HTTP/1.1 500")
    for name, value in SECURITY_HEADERS:
        assert head.count(b"\r\n%b: %b" % (name, value)) == 1


@pytest.mark.parametrize(
    ("request_line", "body"),
    [
        (b"GET /2 HTTP/1.1", b"2\r\nab\r\n2\r\nab\r\n0\r\n\r\n"),
        (b"GET /2?length HTTP/1.1", b"abab"),
        (b"GET /2 HTTP/1.0", b"abab"),
        (b"HEAD /2 HTTP/1.1", b""),
        (b"GET /0 HTTP/1.1", b"0\r\n\r\n"),
    ],
)
async def test_a_body_comes_in_chunks_where_its_client_can_read_them(request_line: bytes, body: bytes) -> None:
    async with serving(in_pieces) as port:
        answer = await asked(port, request_line + b"\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.partition(b"\r\n\r\n")[2] == body


async def test_answers_of_one_connection_are_framed_each_in_its_own_way() -> None:
    first = b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
    second = b"GET /1?length HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    async with serving(in_pieces) as port:
        answer = await asked(port, first, second)
    assert answer.count(b"2\r\nab\r\n0\r\n\r\nHTTP/1.1 200") == 1
    assert answer.endswith(b"\r\n\r\nab")
