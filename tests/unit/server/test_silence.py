"""A connection that is silent for too long is closed, and every silent one when the server stops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from retinue.server.address import listen
from retinue.server.config import config_for
from retinue.server.crowd import CLOSE_SECONDS, Crowd
from retinue.server.serving import serve
from retinue.server.silence import Silences
from retinue.settings import Settings
from tests.unit.server.test_http1 import live

DEADLINE = 10.0


class Line:
    """A connection, as far as it can be silent."""

    def __init__(self) -> None:
        self.closed = asyncio.Event()

    def close_silent(self) -> None:
        self.closed.set()

    async def is_closed(self) -> bool:
        try:
            async with asyncio.timeout(DEADLINE):
                await self.closed.wait()
        except TimeoutError:
            return False
        return True


async def test_each_is_closed_when_its_time_is_over_also_one_that_comes_later() -> None:
    silences, first, second = Silences(0.001), Line(), Line()
    silences.begin(first)
    assert await first.is_closed()
    silences.begin(second)
    assert await second.is_closed()


async def test_who_speaks_or_begins_anew_is_not_closed_before_others() -> None:
    silences = Silences(0.001)
    speaking, again, silent = Line(), Line(), Line()
    for each in (speaking, again, silent):
        silences.begin(each)
    silences.end(speaking)
    silences.begin(again)
    assert silences.longest() is silent
    silences.end(silent)
    assert silences.longest() is again
    silences.begin(silent)
    assert await again.is_closed()
    assert await silent.is_closed()
    assert not speaking.closed.is_set()
    assert silences.longest() is None


async def test_who_was_silent_later_is_closed_later() -> None:
    silences, first, second = Silences(3600), Line(), Line()
    silences.begin(first)
    between = asyncio.get_running_loop().time()
    while asyncio.get_running_loop().time() == between:  # noqa: ASYNC110 - the clock tells nobody
        await asyncio.sleep(0)
    silences.begin(second)
    silences._close_until(between)
    assert first.closed.is_set()
    assert not second.closed.is_set()
    silences.stop()
    assert second.closed.is_set()


async def test_all_are_closed_when_the_server_stops() -> None:
    silences, silent, late = Silences(3600), Line(), Line()
    silences.begin(silent)
    assert not silent.closed.is_set()
    silences.stop()
    assert silent.closed.is_set()
    silences.begin(late)
    assert late.closed.is_set()


@asynccontextmanager
async def serving(seconds: float) -> AsyncIterator[tuple[int, asyncio.Event]]:
    """A server that answers `/held` when it is told to."""
    release, stop = asyncio.Event(), asyncio.Event()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await live(receive, send)
            return
        if scope["path"] == "/held":
            await release.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
        await send({"type": "http.response.body", "body": b"."})

    listener = listen("127.0.0.1", 0, 5.0)
    number: int = listener.getsockname()[1]
    config = config_for(Settings())
    config.keep_alive_timeout = seconds
    task = asyncio.create_task(serve(Crowd(application, config), listener, stop.wait))
    yield number, release
    stop.set()
    async with asyncio.timeout(DEADLINE):
        await task


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["nothing yet", "one request"])
async def test_a_silent_connection_ends_and_one_that_waits_for_an_answer_does_not(said: bytes) -> None:
    async with serving(0.01) as (port, release), asyncio.timeout(DEADLINE):
        waiting, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        silent, other = await asyncio.open_connection("127.0.0.1", port)
        other.write(said)
        assert (await silent.read()).startswith(b"HTTP/1.1 200" if said else b"")
        release.set()
        assert (await waiting.read()).startswith(b"HTTP/1.1 200")
        writer.close()
        other.close()


async def test_a_server_that_stops_waits_for_no_silent_connection() -> None:
    async with asyncio.timeout(CLOSE_SECONDS):
        async with serving(3600) as (port, _):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            await reader.readuntil(b"\r\n\r\n.")
        assert await reader.read() == b""
        writer.close()
