"""`fetch_url`: which of its failures may pass, and how long it takes until they may."""

import asyncio
import ssl
import threading
from pathlib import Path

import pytest

from retinue.domain.tools import ToolErrorKind
from retinue.egress import EgressPolicy, make_client
from retinue.egress.lookups import MAX_PER_ASKER, SystemResolver
from retinue.tools.builtin.fetch_url import FetchUrl
from tests.unit.egress.certificates import self_signed
from tests.unit.egress.internet import CLOSED, answer
from tests.unit.egress.test_client import NO_TRUST, local, server
from tests.unit.tools.builtin.calls import called
from tests.unit.tools.builtin.test_fetch_url import failure, tool_for

CHUNKED = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "page",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Ty",
        b"HTTP/1.1 100\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 9\r\n\r\nSECRET",
        CHUNKED + b"6\r\nSECRET\r\n",
        CHUNKED + b"6\r\nSEC",
    ],
)
async def test_a_server_that_breaks_off(page: bytes) -> None:
    error = await failure(tool_for(page))
    assert (error.kind, error.problem_code) == (ToolErrorKind.TRANSIENT, "http_broken_off")


async def test_a_connection_that_is_reset() -> None:
    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with server(handle) as port:
        policy = EgressPolicy(frozenset({f"127.0.0.1:{port}"}))
        async with make_client(policy, ssl_context=NO_TRUST) as client:
            error = await failure(FetchUrl(client, policy), f"http://127.0.0.1:{port}/")
    assert error.kind is ToolErrorKind.TRANSIENT


async def test_a_server_that_nobody_vouches_for(tmp_path: Path) -> None:
    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        raise AssertionError("nothing is said to such a server")

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(self_signed("site.example", tmp_path))
    async with server(handle, tls) as port:
        policy = EgressPolicy(frozenset({f"site.example:{port}"}))
        async with make_client(policy, ssl_context=NO_TRUST, resolve=local) as client:
            error = await failure(FetchUrl(client, policy), f"https://site.example:{port}/")
    assert (error.kind, error.problem_code) == (ToolErrorKind.UNKNOWN, "http_untrusted")


@pytest.mark.parametrize("status", ["429 Too Many", "503 Busy"])
async def test_the_pause_that_a_server_asks_for(status: str) -> None:
    assert (await failure(tool_for(answer(status, "Retry-After: 7")))).retry_after == 7.0
    assert (await failure(tool_for(answer(status, "Retry-After: SECRET")))).retry_after is None
    assert (await failure(tool_for(answer(status)))).retry_after is None


async def test_a_head_without_end() -> None:
    error = await failure(tool_for(b"HTTP/1.1 100\r\n\r\n" * 20_000))
    assert (error.kind, error.problem_code) == (ToolErrorKind.UNKNOWN, "http_unreadable")


async def test_names_that_do_not_resolve_hold_up_their_tenant_alone() -> None:
    may_answer = threading.Event()

    def slowly(host: str, port: int) -> list[str]:
        may_answer.wait(60)
        return ["127.0.0.1"]

    async with make_client(CLOSED, connect_timeout=0.02, resolve=SystemResolver(slowly)) as client:
        tool = FetchUrl(client, CLOSED)
        codes = [
            (await failure(tool, f"https://{number}.example.com/")).problem_code for number in range(MAX_PER_ASKER + 2)
        ]
        error = await failure(tool, "https://site.example.com/")
    may_answer.set()
    assert codes == ["http_timeout"] * MAX_PER_ASKER + ["too_many_lookups"] * 2
    assert (error.kind, error.problem_code) == (ToolErrorKind.TRANSIENT, "too_many_lookups")
    assert "host names" in error.detail


async def test_a_page_that_is_whole_is_no_failure() -> None:
    whole = await called(tool_for(CHUNKED + b"3\r\none\r\n0\r\n\r\n"), url="https://site.example.com/")
    assert (whole["text"], whole["is_cut"]) == ("one", False)
