"""The listener of the metrics: one request per connection, and no patience."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from retinue.http.headers import SECURITY_HEADERS
from retinue.server import metrics
from retinue.server.address import CannotListen, listen
from retinue.server.metrics import of_worker, serving, serving_metrics
from retinue.settings import Settings
from retinue.settings.sections import Metrics

BODY = b"retinue_x 1\n"


async def render() -> bytes:
    return BODY


@pytest.fixture
async def port() -> AsyncIterator[int]:
    with listen("127.0.0.1", 0, 5.0) as listener:
        number: int = listener.getsockname()[1]
        async with serving(listener, render):
            yield number


async def exchange(port: int, data: bytes) -> tuple[bytes, bytes]:
    """Head and body of the answer."""
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(data)
        try:
            received = await reader.read()
        except ConnectionError:
            received = b""
        writer.close()
    head, _, body = received.partition(b"\r\n\r\n")
    return head, body


@pytest.mark.parametrize(
    ("line", "status", "body"),
    [
        (b"GET /metrics HTTP/1.1", b"200", BODY),
        (b"GET /metrics?name=x HTTP/1.0", b"200", BODY),
        (b"HEAD /metrics HTTP/1.1", b"200", b""),
        (b"GET / HTTP/1.1", b"404", b"Ask for /metrics.\n"),
        (b"GET /metrics/ HTTP/1.1", b"404", b"Ask for /metrics.\n"),
        (b"POST /metrics HTTP/1.1", b"405", b"Ask with GET.\n"),
        (b"\x00\xff", b"404", b"Ask for /metrics.\n"),
    ],
)
async def test_what_is_answered(port: int, line: bytes, status: bytes, body: bytes) -> None:
    head, answered = await exchange(port, line + b"\r\nHost: x\r\n\r\n")
    assert head.split(b" ")[1] == status
    assert answered == body
    for name, value in SECURITY_HEADERS:
        assert b"\r\n%b: %b" % (name, value) in head
    assert b"\r\nconnection: close" in head
    assert b"\r\ncache-control: no-store" in head


async def test_a_head_without_an_end_is_cut_off(port: int) -> None:
    assert await exchange(port, b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 200_000) == (b"", b"")


async def test_whoever_is_slow_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "SECONDS", 0.05)
    assert await exchange(port, b"GET /metrics") == (b"", b"")


async def test_one_connection_too_many_is_cut_off(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "MAX_CONNECTIONS", 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /metrics HTTP/1.1\r\n")
    assert await exchange(port, b"") == (b"", b"")
    writer.write(b"\r\n")
    assert (await reader.read()).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_nothing_is_served_unless_a_port_is_named() -> None:
    async with serving_metrics(Settings(), render):
        assert Settings().metrics.port == 0


async def test_a_port_that_is_taken_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(metrics=Metrics(port=taken.getsockname()[1]))
        with pytest.raises(CannotListen):
            async with serving_metrics(settings, render):
                pass


def test_workers_count_upwards() -> None:
    settings = Settings(metrics=Metrics(port=9464), workers=3)
    assert [of_worker(settings, number).metrics.port for number in (1, 2, 3)] == [9464, 9465, 9466]
    assert of_worker(Settings(), 2).metrics.port == 0
