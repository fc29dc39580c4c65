"""Listening, as long as Hypercorn has the application alive."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from hypercorn.asyncio import serve as hypercorn_serve

from retinue.server.address import BACKLOG
from retinue.server.connections import Connection
from retinue.server.crowd import Crowd


async def serve(crowd: Crowd, listener: socket.socket, until: Callable[[], Awaitable[object]]) -> None:
    """Serve the crowd's application on `listener` until `until` returns, and close what is still open then."""

    async def listen() -> None:
        async with _listening(crowd, listener):
            await until()

    await hypercorn_serve(crowd.app, crowd.config, shutdown_trigger=listen, mode="asgi")


@asynccontextmanager
async def _listening(crowd: Crowd, listener: socket.socket) -> AsyncIterator[None]:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(crowd), sock=listener, backlog=BACKLOG)
    try:
        yield
    finally:
        server.close()
        await crowd.close()
