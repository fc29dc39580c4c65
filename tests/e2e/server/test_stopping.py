"""Clients that hold on do not keep a process from ending."""

import asyncio
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from tests.e2e.contract.wire import fetch
from tests.e2e.server.waiting import eventually
from tests.e2e.streams.talk import after_tokens, connect, hire, request_bytes
from tests.support import http1
from tests.support.client import RetinueClient
from tests.support.server import READY, RetinueServer, environment_for, running_retinue
from tests.support.upstream import ThreadedUpstream, says, tokens

pytestmark = pytest.mark.slow

ALIVE = "/api/v1/health"
LONG = [f"{number:04} " + "😀" * 190 for number in range(5000)]
"""Some four megabytes: more than the sockets between server and client can hold."""


@pytest.fixture
def server(tmp_path: Path, module_upstream: ThreadedUpstream) -> Iterator[RetinueServer]:
    module_upstream.reset()
    environment = environment_for(
        f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}",
        allow=module_upstream.address,
        RETINUE_RUNS_DRAIN_SECONDS="1",
    )
    with running_retinue(tmp_path, environment) as running:
        yield running


def held(server: RetinueServer, data: bytes) -> socket.socket:
    """A connection over which something was sent."""
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(data)
    return connection


def exit_after(server: RetinueServer) -> float:
    """Stop in order; returns the seconds that it took."""
    begun = time.monotonic()
    server.process.send(signal.SIGTERM)
    assert server.process.wait(within=60) == 0, server.output
    assert "Traceback" not in server.output
    return time.monotonic() - begun


def test_connections_without_a_request_do_not_hold_it(server: RetinueServer) -> None:
    with ExitStack() as stack:
        idle = stack.enter_context(held(server, f"GET {ALIVE} HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()))
        assert idle.recv(65_536).startswith(b"HTTP/1.1 200")
        for begun in (b"", b"GET /api/v1/he", b"GET /api/v1/health HTTP/1.1\r\nhost: x\r\n"):
            stack.enter_context(held(server, begun))
        assert exit_after(server) < 5


def test_a_body_that_does_not_come_is_not_waited_for(server: RetinueServer) -> None:
    head = f"POST /api/v1/tenants HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {server.key}\r\n"
    with held(server, f"{head}content-type: application/json\r\ncontent-length: 100\r\n\r\n{{".encode()):
        assert fetch(server.address, "GET", ALIVE).status == 200
        assert exit_after(server) < 8


async def _never_read(server: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream) -> http1.Response:
    """A stream of which nothing but the head is read, on a socket with hardly any room."""
    conversation = await hire(client, upstream)
    response = await connect(server, receive_buffer=4096)
    upstream.enqueue(says(*LONG))
    path = f"/conversations/{conversation.id}/messages/stream"
    response._writer.write(request_bytes(server, path, {"content": "Hello"}))
    await response.read_head()
    return response


async def test_streams_do_not_hold_it(server: RetinueServer, module_upstream: ThreadedUpstream) -> None:
    """One that is never read, and one that never ends because its conversation goes on."""
    client = server.client()
    async with AsyncExitStack() as stack:
        stuck = await _never_read(server, client, module_upstream)
        stack.push_async_callback(stuck.close)
        conversation = await hire(client, module_upstream)
        endless = await http1.request(
            server.address, "GET", f"/api/v1/conversations/{conversation.id}/events", headers=client.headers
        )
        stack.push_async_callback(endless.close)
        assert endless.status == 200
        took, tail = await asyncio.gather(asyncio.to_thread(exit_after, server), endless.read())
    assert took < 12
    assert tail.endswith(b"retry: 1000\n")


async def test_it_answers_until_it_ends(tmp_path: Path, module_upstream: ThreadedUpstream) -> None:
    module_upstream.reset()
    environment = environment_for(
        f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}", allow=module_upstream.address, RETINUE_RUNS_DRAIN_SECONDS="60"
    )
    with running_retinue(tmp_path, environment) as server:
        client = server.client()
        conversation = await hire(client, module_upstream)
        module_upstream.enqueue(tokens(3).hold(1))
        async with await client.stream(conversation.id, "Hello") as stream:
            await after_tokens(stream, 1)
            server.process.send(signal.SIGTERM)
            await asyncio.to_thread(eventually, lambda: fetch(server.address, "GET", READY).status == 503)
            assert b'"draining"' in fetch(server.address, "GET", READY).body
            assert fetch(server.address, "GET", ALIVE).status == 200
            module_upstream.release()
            await stream.rest()
            assert await asyncio.to_thread(server.process.wait, within=20) == 0
        with pytest.raises(ConnectionError):
            fetch(server.address, "GET", ALIVE)
