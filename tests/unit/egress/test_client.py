"""The egress guard: what the client leaves out, over real sockets."""

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from retinue.domain.errors import EgressRefused
from retinue.egress import EgressPolicy, make_client
from retinue.egress.client import MAX_ERROR_BODY
from tests.unit.egress.certificates import self_signed

CLOSED = EgressPolicy()
PUBLIC = "93.184.216.34"
NO_TRUST = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


Handle = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def server(handle: Handle, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on the loopback that hands every request's head to `handle`. Gives its port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(await reader.readuntil(b"\r\n\r\n"), writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with listener:
        yield listener.sockets[0].getsockname()[1]


async def local(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


def answer(status: str, *headers: str, body: bytes = b"") -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_the_client_refuses_what_the_guard_refuses() -> None:
    reached = []

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        reached.append(head)

    async with server(handle) as port, make_client(CLOSED, ssl_context=NO_TRUST, resolve=local) as client:
        for url in (f"http://127.0.0.1:{port}/", "http://rebound.example.com/", "http://localhost/"):
            with pytest.raises(EgressRefused):
                await client.get(url)
    assert reached == []


async def test_redirects_cookies_and_proxies_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(answer("302 Found", "Location: /next", "Set-Cookie: tenant=a; Path=/"))

    for name in ("HTTP_PROXY", "ALL_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    async with server(handle) as port:
        policy = EgressPolicy(frozenset({f"127.0.0.1:{port}"}))
        async with make_client(policy, ssl_context=NO_TRUST) as client:
            for _ in range(2):
                response = await client.get(f"http://127.0.0.1:{port}/first")
                assert response.status_code == 302
    assert [head.split()[1] for head in heads] == [b"/first", b"/first"]
    assert not any(b"cookie" in head.lower() for head in heads)


async def test_an_error_body_is_bounded_and_never_unpacked() -> None:
    bomb = gzip.compress(b"x" * 10_000_000)

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        if b"/bomb" in head:
            writer.write(answer("500 Oops", "Content-Encoding: gzip", body=bomb))
            return
        writer.write(b"HTTP/1.1 500 Oops\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b"2000\r\n" + b"x" * 0x2000 + b"\r\n")
            await writer.drain()

    async with server(handle) as port:
        policy = EgressPolicy(frozenset({f"127.0.0.1:{port}"}))
        async with make_client(policy, ssl_context=NO_TRUST) as client:
            endless = await client.get(f"http://127.0.0.1:{port}/endless")
            packed = await client.get(f"http://127.0.0.1:{port}/bomb")
    assert len(endless.content) == MAX_ERROR_BODY
    assert packed.content == bomb


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed("model.example", tmp_path_factory.mktemp("tls"))


async def test_tls_and_host_header_keep_the_name(certificate: Path) -> None:
    asked: list[str | None] = []
    heads: list[bytes] = []

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(answer("204 No Content"))

    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with server(handle, tls) as port:
        policy = EgressPolicy(frozenset({f"model.example:{port}", f"other.example:{port}"}))
        trust = ssl.create_default_context(cafile=str(certificate))
        async with make_client(policy, ssl_context=trust, resolve=local) as client:
            response = await client.get(f"https://model.example:{port}/")
            with pytest.raises(httpx2.ConnectError):
                await client.get(f"https://other.example:{port}/")
    assert response.status_code == 204
    assert asked[0] == "model.example"
    assert f"Host: model.example:{port}".encode() in heads[0]


async def test_a_request_that_says_it_all_is_sent_as_any_other() -> None:
    heads: list[bytes] = []
    hooked: list[httpx2.Request] = []

    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        heads.append(head)
        writer.write(answer("302 Found", "Location: /next", "Set-Cookie: tenant=a; Path=/", body=b"body"))

    async def hook(request: httpx2.Request) -> None:
        hooked.append(request)

    async with server(handle) as port:
        policy = EgressPolicy(frozenset({f"127.0.0.1:{port}"}))
        client = make_client(policy, ssl_context=NO_TRUST)
        client.event_hooks["request"].append(hook)
        for url in (f"http://127.0.0.1:{port}/first", f"http://jo:secret@127.0.0.1:{port}/first"):
            request = client.build_request("POST", url, content=b"{}")
            response = await client.send(request, stream=True)
            assert (response.status_code, response.request) == (302, request)
            assert await response.aread() == b"body"
            assert response.is_closed
            assert hooked.pop() is request
        await client.aclose()
        with pytest.raises(RuntimeError, match="closed"):
            await client.send(client.build_request("GET", f"http://127.0.0.1:{port}/"), stream=True)
    assert [b"authorization" in head.lower() for head in heads] == [False, True]
    assert not any(b"cookie" in head.lower() for head in heads)


async def test_a_choice_for_one_request_counts() -> None:
    async def handle(head: bytes, writer: asyncio.StreamWriter) -> None:
        if b"\r\nauthorization: basic" in head.lower():
            writer.write(answer("401 Unauthorized"))
        else:
            writer.write(answer("200 OK") if b"/next " in head else answer("302 Found", "Location: /next"))

    async with server(handle) as port:
        policy = EgressPolicy(frozenset({f"127.0.0.1:{port}"}))
        async with make_client(policy, ssl_context=NO_TRUST) as client:
            url = f"http://127.0.0.1:{port}/first"
            request = client.build_request("GET", url)
            assert (await client.send(request, stream=True)).status_code == 302
            assert (await client.send(request, stream=True, follow_redirects=True)).status_code == 200
            assert (await client.send(request, stream=True, auth=("jo", "secret"))).status_code == 401
            request = httpx2.Request("GET", url)
            await client.send(request, stream=True)
            assert request.extensions["timeout"] == client.timeout.as_dict()
            answers: list[httpx2.Response] = []

            async def hook(response: httpx2.Response) -> None:
                answers.append(response)

            client.event_hooks["response"].append(hook)
            assert await client.send(request, stream=True) in answers
