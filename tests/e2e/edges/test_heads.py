"""Heads of requests beyond all bounds: a typed answer or a closed connection, at once, and the server lives on."""

import time

import msgspec
import pytest

from retinue.http.headers import NO_STORE, SECURITY_HEADERS
from retinue.settings.sections import Limits
from tests.e2e.contract.wire import PATIENCE, RawAnswer, exchange, fetch, parse
from tests.support.forking import ForkedServer

pytestmark = pytest.mark.slow

GET = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /api/v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"
CLOSE = b"Connection: close\r\n"
WEBSOCKET = (
    b"Upgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
LIMITS = Limits()


def headers(count: int) -> bytes:
    return b"".join(b"X-%d: 1\r\n" % number for number in range(count))


REFUSED = {
    "a path of 64 KiB": (b"GET /" + b"a" * 65_536 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "target_too_long"),
    "a path without an end": (b"GET /" + b"a" * 65_536, 414, "target_too_long"),
    "a query that is too long": (GET.replace(b"health", b"health?" + b"a" * 9000) + b"\r\n", 414, "target_too_long"),
    "one header too many": (GET + headers(LIMITS.headers) + b"\r\n", 431, "headers_too_large"),
    "10,000 headers": (GET + headers(10_000) + b"\r\n", 431, "headers_too_large"),
    "headers without an end": (GET + headers(10_000), 431, "headers_too_large"),
    "a large header": (GET + b"X: " + b"a" * LIMITS.header_bytes + b"\r\n\r\n", 431, "headers_too_large"),
    "a huge header": (GET + b"X: " + b"a" * 1_000_000 + b"\r\n\r\n", 431, "headers_too_large"),
    "large headers": (GET + (b"X: " + b"a" * 1000 + b"\r\n") * 17 + b"\r\n", 431, "headers_too_large"),
    "a control character": (GET + b"X: a\x1b[2Jb\r\n\r\n", 400, "bad_request"),
    "a NUL": (GET + b"X: a\x00b\r\n\r\n", 400, "bad_request"),
    "HEAD in small letters": (GET.replace(b"GET", b"head") + b"\r\n", 400, "bad_request"),
    "GET in small letters": (GET.replace(b"GET", b"get") + b"\r\n", 400, "bad_request"),
    "a header that is none": (GET + b"nonsense\r\n\r\n", 400, "bad_request"),
    "no HTTP": (b"\x16\x03\x01\x00\xc8\x01\r\n\r\n", 400, "bad_request"),
    "another coding": (POST + b"Transfer-Encoding: gzip\r\n\r\n{}", 501, "coding_not_supported"),
    "a later version": (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", 505, "version_not_supported"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\x00" * 5000, 505, "version_not_supported"),
    "garbage behind a request": (GET + b"\r\n" + b"garbage\r\n\r\n", 400, "bad_request"),
    "an extension of 100 KB": (CHUNKED + b"\r\n2;" + b"x" * 100_000 + b"\r\n{}\r\n0\r\n\r\n", 400, "bad_request"),
    "10,000 trailers": (CHUNKED + b"\r\n2\r\n{}\r\n0\r\n" + headers(10_000) + b"\r\n", 400, "bad_request"),
}


def last_answer(server: ForkedServer, data: bytes, *, is_head: bool = False) -> RawAnswer:
    since = time.monotonic()
    answers = parse(exchange(server.address, data), is_head=is_head)
    assert time.monotonic() - since < PATIENCE / 3
    return answers[-1]


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_too_much_is_refused_with_a_problem(alone: ForkedServer, name: str) -> None:
    data, status, code = REFUSED[name]
    answer = last_answer(alone, data)
    answer.problem(status, code)
    assert answer.headers["connection"] == "close"
    assert answer.headers["x-request-id"]
    for header, value in (*SECURITY_HEADERS, NO_STORE):
        assert answer.headers[header.decode()] == value.decode(), header
    assert len(answer.body) < 1000
    assert fetch(alone.address, "GET", "/api/v1/health").status == 200
    assert "Traceback" not in alone.output


ALLOWED = {
    "as many headers": (GET + headers(LIMITS.headers - 2) + CLOSE + b"\r\n", 200),
    "as large headers": (GET + CLOSE + b"X: " + b"a" * (LIMITS.header_bytes - 25) + b"\r\n\r\n", 200),
    "as long a path": (
        b"GET /" + b"a" * (LIMITS.target_bytes - 1) + b" HTTP/1.1\r\nHost: x\r\n" + CLOSE + b"\r\n",
        404,
    ),
    "bytes beyond ASCII": (GET + b"X: \x80\xff\xc3\xa9\r\n" + CLOSE + b"\r\n", 200),
    "a chunk with an extension": (CHUNKED + CLOSE + b"\r\n2;" + b"x" * 1000 + b"\r\n{}\r\n0\r\n\r\n", 401),
    "an upgrade to WebSocket": (GET + WEBSOCKET, 200),
    "an upgrade of a route that is none": (GET.replace(b"api/v1/health", b"ws") + WEBSOCKET, 404),
    "an upgrade with a body": (
        POST + b"Upgrade: websocket\r\nConnection: Upgrade, close\r\nContent-Length: 2\r\n\r\n{}",
        401,
    ),
    "an upgrade to h2c": (GET + b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nConnection: Upgrade, close\r\n\r\n", 200),
    "300 requests at once": ((GET + b"\r\n") * 299 + GET + CLOSE + b"\r\n", 200),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_is_allowed_is_answered(alone: ForkedServer, name: str) -> None:
    data, status = ALLOWED[name]
    assert last_answer(alone, data).status == status


def test_a_refused_head_has_no_body_when_none_was_asked_for(alone: ForkedServer) -> None:
    answer = last_answer(alone, b"HEAD /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", is_head=True)
    assert (answer.status, answer.body) == (414, b"")
    assert fetch(alone.address, "GET", "/api/v1/health").status == 200
    assert "Traceback" not in alone.output


@pytest.mark.parametrize(
    "query", ["&".join(f"a{number}=1" for number in range(1000)), "&".join(["limit=1"] * 900), "&" * 8000, "a=" * 3000]
)
def test_thousands_of_parameters_are_answered(alone: ForkedServer, query: str) -> None:
    answer = fetch(alone.address, "GET", f"/api/v1/tenants?{query}", headers={"x-api-key": alone.key or ""})
    if query.strip("&"):
        answer.problem(422, "validation_failed")
        assert len(msgspec.json.decode(answer.body)["errors"]) <= 20
    else:
        assert answer.status == 200
