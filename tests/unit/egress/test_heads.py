"""A head is bounded for each request, whatever the connection has carried before."""

import asyncio

import httpx2
import pytest

from retinue.egress import EgressPolicy, make_client
from retinue.egress.answers import MAX_HEAD
from tests.unit.egress.internet import Internet, answer
from tests.unit.egress.test_client import NO_TRUST, server

URL = "https://site.example.com/"


async def test_a_long_head_that_ends_is_an_answer() -> None:
    many = [f"X-{number}: {'x' * 1000}" for number in range(90)]
    async with Internet({"site.example.com/": answer("200 OK", *many)}).client() as client:
        assert (await client.get(URL)).text == "hello"


async def test_every_request_of_a_connection_has_its_own_head() -> None:
    """Together they have more than one may have; what a body has does not count."""
    headers = [f"X: {'x' * 60_000}"]
    internet = Internet({"site.example.com/": answer("200 OK", *headers, body=b"x" * 4 * MAX_HEAD)})
    async with internet.client() as client:
        for _ in range(5):
            assert len((await client.get(URL)).content) == 4 * MAX_HEAD
    assert len(internet.dialled) == 1


async def test_hints_before_an_answer_are_passed_over() -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\n" * 20
    async with Internet({"site.example.com/": hints + answer()}).client() as client:
        assert (await client.get(URL)).text == "hello"


async def test_over_a_socket() -> None:
    written = 0

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        while not writer.transport.is_closing():
            writer.write(b"HTTP/1.1 100\r\n\r\n" * 1000)
            written += 16_000
            await writer.drain()

    async with server(handle) as port:
        policy = EgressPolicy(frozenset({f"127.0.0.1:{port}"}))
        async with make_client(policy, ssl_context=NO_TRUST) as client:
            with pytest.raises(httpx2.RemoteProtocolError):
                await client.get(f"http://127.0.0.1:{port}/")
    assert written >= MAX_HEAD


async def test_an_error_body_in_tiny_pieces_is_left() -> None:
    """Each packet costs the same, however little it holds."""
    body = b"".join([b"1\r\nx\r\n"] * 50_000)
    head = b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n"
    internet = Internet({"site.example.com/": head + body}, packet=6)
    async with internet.client() as client:
        assert len((await client.get(URL)).content) <= 1024
