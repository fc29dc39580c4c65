"""What the server below the application answers by itself."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypercorn.asyncio import serve

from retinue.http.headers import SECURITY_HEADERS
from retinue.server.address import listen
from retinue.server.connections import config_for, install
from retinue.settings import Settings

GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def silent(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers nothing."""
    if scope["type"] == "lifespan":
        for kind in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{kind}.complete"})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    install()
    listener: socket.socket = listen("127.0.0.1", 0, 5.0)
    number: int = listener.getsockname()[1]
    stop = asyncio.Event()
    serving = asyncio.create_task(serve(silent, config_for(listener, Settings()), shutdown_trigger=stop.wait))
    yield number
    stop.set()
    await serving


async def test_an_application_that_says_nothing_is_answered_for_with_the_headers(port: int) -> None:
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GET)
        head = (await reader.read()).partition(b"\r\n\r\n")[0]
        writer.close()
    assert head.startswith(b"HTTP/1.1 500")
    for name, value in SECURITY_HEADERS:
        assert head.count(b"\r\n%b: %b" % (name, value)) == 1
