"""Tests cannot leave the machine without being noticed."""

import asyncio
import socket
from collections.abc import Callable

import pytest

from tests.support import network
from tests.support.network import NetworkForbidden
from tests.support.upstream import FakeUpstream

TRIES: list[Callable[[], object]] = [
    lambda: socket.create_connection(("192.0.2.1", 80), timeout=0.1),
    lambda: socket.socket().connect_ex(("192.0.2.1", 80)),
    lambda: socket.socket(socket.AF_INET6).connect(("2001:db8::1", 80)),
    lambda: socket.getaddrinfo("example.com", 80),
]


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("attempt", TRIES)
def test_leaving_is_refused_and_remembered(attempt: Callable[[], object]) -> None:
    with pytest.raises(NetworkForbidden):
        attempt()
    assert len(network.attempts) == 1
    network.attempts.clear()


async def test_the_event_loop_is_guarded_too() -> None:
    with pytest.raises(NetworkForbidden):
        await asyncio.open_connection("192.0.2.1", 80)
    with pytest.raises(NetworkForbidden):
        await asyncio.open_connection("example.com", 80)
    assert len(network.attempts) == 2
    network.attempts.clear()


async def test_the_loopback_is_open(upstream: FakeUpstream) -> None:
    port = int(upstream.address.rsplit(":", 1)[1])
    for host in ("127.0.0.1", "localhost"):
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        await writer.wait_closed()
    assert network.attempts == []
