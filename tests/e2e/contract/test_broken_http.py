"""Bytes that are no HTTP, or the wrong one: a 4xx or a closed connection, and the server lives on."""

import socket
import time

import psutil
import pytest

from tests.e2e.contract.wire import PATIENCE, RawAnswer, exchange, parse
from tests.support.server import RetinueServer

pytestmark = pytest.mark.slow

GET = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-API-Key: %b\r\n"
CLOSE = b"Connection: close\r\n"

BROKEN = {
    "garbage": b"\x00\xff\xfe garbage \r\n\r\n",
    "a TLS hello": bytes.fromhex("16030100c8010000c40303") + b"\x00" * 100 + b"\r\n\r\n",
    "words": b"hello there, how are you\r\n\r\n",
    "an SSH banner": b"SSH-2.0-OpenSSH_9.0\r\n\r\n",
    "no version": b"GET /api/v1/health\r\n\r\n",
    "a version that is none": b"GET / HTTP/x\r\nHost: x\r\n\r\n",
    "no host": b"GET /api/v1/health HTTP/1.1\r\n\r\n",
    "two hosts": GET + b"Host: y\r\n\r\n",
    "a blank in the target": b"GET /api/v1/ health HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in the target": b"GET /\x00 HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header without colon": GET + b"nonsense\r\n\r\n",
    "a blank before the colon": GET + b"X-Thing : 1\r\n\r\n",
    "a NUL in a header": GET + b"X-Thing: a\x00b\r\n\r\n",
    "a CR in a header": GET + b"X-Thing: a\rb\r\n\r\n",
    "an empty header name": GET + b": 1\r\n\r\n",
    "a huge header": GET + b"X-Thing: " + b"a" * 200_000 + b"\r\n\r\n",
    "many headers": GET + b"".join(b"X-%d: 1\r\n" % number for number in range(20_000)) + b"\r\n",
    "a huge target": b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a method of 100 KB": b"A" * 100_000 + b" / HTTP/1.1\r\nHost: x\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n{}",
    "a length in words": POST + b"Content-Length: two\r\n\r\n{}",
    "a length with a sign": POST + b"Content-Length: +2\r\n\r\n{}",
    "a length in hexadecimal": POST + b"Content-Length: 0x2\r\n\r\n{}",
    "an unknown transfer coding": POST + b"Transfer-Encoding: gzip\r\n\r\n{}",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunks of garbage": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n",
    "a negative chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk longer than it says": POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a chunk size beyond all bounds": POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 100 + b"\r\n{}\r\n",
    "the preface of HTTP/2 without more": b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
}


def told(server: RetinueServer, data: bytes) -> list[RawAnswer]:
    """The answers to these bytes, after which nothing more is sent."""
    assert server.key is not None
    whole = data.replace(b"%b", server.key.encode(), 1)
    received = exchange(server.address, whole, finish=True)
    return parse(received) if received.startswith(b"HTTP/") else []


@pytest.mark.parametrize("name", BROKEN)
def test_broken_requests_are_refused(retinue: RetinueServer, name: str) -> None:
    answers = told(retinue, BROKEN[name])
    assert all(400 <= answer.status < 500 or answer.status in {501, 505} for answer in answers), answers
    assert all(b"Traceback" not in answer.body for answer in answers)


def test_a_length_beside_chunks_smuggles_nothing(retinue: RetinueServer) -> None:
    """Whichever of the two a proxy counts by, the rest must not be taken for a request of its own."""
    hidden = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n"
    for order in (
        b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n",
    ):
        framing = order % (5 + len(hidden)) + b"\r\n0\r\n\r\n"
        [answer] = told(retinue, POST + framing + hidden)
        answer.problem(400, "bad_request")
        assert answer.headers["connection"] == "close"


def test_a_body_that_ends_early_is_refused_or_forgotten(retinue: RetinueServer) -> None:
    for framing in (b"Content-Length: 100\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n5\r\n{"):
        for answer in told(retinue, POST + framing):
            assert answer.status == 400, answer


def test_requests_in_a_row_are_answered_in_order(retinue: RetinueServer) -> None:
    data = GET + b"\r\n" + GET.replace(b"health", b"nowhere") + b"\r\n" + GET + CLOSE + b"\r\n"
    assert [answer.status for answer in parse(exchange(retinue.address, data))] == [200, 404, 200]


def test_a_refused_body_does_not_leak_into_the_next_request(retinue: RetinueServer) -> None:
    """The refusal comes before the body is read: what follows it on the wire is the body, not a request."""
    body = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n\r\n"
    data = b"POST /api/v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body)
    answers = told(retinue, data + body + GET + CLOSE + b"\r\n")
    assert answers[0].status == 401
    assert len(answers) <= 2


@pytest.mark.parametrize("target", [b"http://evil.example.com/api/v1/health", b"http://x/api/v1/health", b"*"])
def test_other_forms_of_a_target(retinue: RetinueServer, target: bytes) -> None:
    answers = told(retinue, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n")
    assert {answer.status for answer in answers} <= {200, 400, 404}
    assert all(b"evil" not in answer.headers.get("link", "").encode() for answer in answers)


def test_http_1_0_is_understood(retinue: RetinueServer) -> None:
    [answer] = parse(exchange(retinue.address, b"GET /api/v1/health HTTP/1.0\r\n\r\n"))
    assert answer.status == 200


def test_a_web_socket_is_refused(retinue: RetinueServer) -> None:
    upgrade = (
        b"GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    answers = told(retinue, upgrade)
    assert all(400 <= answer.status < 500 for answer in answers), answers


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"
"""An empty SETTINGS frame, with which a client of HTTP/2 begins."""


@pytest.mark.parametrize("more", [b"", SETTINGS, SETTINGS + b"\x00" * 5_000], ids=["alone", "settings", "frames"])
def test_http_2_with_prior_knowledge_is_refused_at_once(retinue: RetinueServer, more: bytes) -> None:
    """Over HTTP/2 a stream that breaks off would stay open for ever. The client must not wait for what never comes."""
    since = time.monotonic()
    [answer] = parse(exchange(retinue.address, PREFACE + more))
    assert answer.status == 505
    assert time.monotonic() - since < PATIENCE / 3
    assert answer.headers["connection"] == "close"


def test_http_2_on_a_connection_that_was_used_is_refused(retinue: RetinueServer) -> None:
    answers = parse(exchange(retinue.address, GET + b"\r\n" + PREFACE + SETTINGS))
    assert [answer.status for answer in answers] == [200, 505]


@pytest.mark.parametrize("listed", [b"Upgrade, HTTP2-Settings", b"Upgrade"])
def test_an_upgrade_to_http_2_is_not_taken(retinue: RetinueServer, listed: bytes) -> None:
    upgrade = b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nConnection: " + listed
    data = GET + upgrade + b"\r\n\r\n" + GET + CLOSE + b"\r\n"
    received = exchange(retinue.address, data)
    assert b"101" not in received.splitlines()[0]
    answers = parse(received)
    assert [answer.status for answer in answers] == [200, 200]
    assert all("upgrade" not in answer.headers for answer in answers)


def test_a_connection_ends_with_its_client(retinue: RetinueServer) -> None:
    """Each socket that is kept for nobody costs a descriptor; a load balancer's checks alone open thousands a day."""
    server = psutil.Process(retinue.process.pid)
    for _ in range(20):
        with connect(retinue) as connection:
            ask_for_health(connection)
    deadline = time.monotonic() + 10
    while left := [each for each in server.net_connections() if each.status == psutil.CONN_CLOSE_WAIT]:
        assert time.monotonic() < deadline, f"{len(left)} connections of clients that are gone"
        time.sleep(0.05)


def test_an_idle_connection_is_kept_for_the_next_request(retinue: RetinueServer) -> None:
    with connect(retinue) as connection:
        for _ in range(3):
            assert ask_for_health(connection).startswith(b"HTTP/1.1 200")


def ask_for_health(connection: socket.socket) -> bytes:
    connection.sendall(GET + b"\r\n")
    received = b""
    while not received.endswith(b"}"):
        received += connection.recv(65_536)
    return received


def connect(server: RetinueServer) -> socket.socket:
    host, _, port = server.address.rpartition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE)
