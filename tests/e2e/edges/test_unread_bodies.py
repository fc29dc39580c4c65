"""Answers that do not wait for the body: the client hears that its connection ends with them."""

import pytest

from tests.e2e.contract.wire import exchange, parse
from tests.support.forking import ForkedServer

pytestmark = pytest.mark.slow

POST = b"POST /api/v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n"
BODY = b'{"name": "x"}'
PIECES = b"POST /api/v1/tenants HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 1000
GET = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_a_connection_that_is_not_kept_is_announced(alone: ForkedServer) -> None:
    """Otherwise a client, or a proxy, that has another request to send would send it to nobody."""
    [answer] = parse(exchange(alone.address, POST + BODY[:5]))
    answer.problem(401, "unauthenticated")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    "target", [b"POST /api/v1/tenants", b"GET /api/v1/tenants", b"GET /api/v1/health", b"PUT /none"]
)
def test_a_body_in_many_pieces_holds_no_connection(alone: ForkedServer, target: bytes) -> None:
    """Whoever refuses it, and although it has no end."""
    [answer] = parse(exchange(alone.address, PIECES.replace(b"POST /api/v1/tenants", target)))
    assert answer.status in {200, 401, 404}
    assert answer.headers["connection"] == "close"


def test_a_connection_that_is_announced_as_kept_is_kept(alone: ForkedServer) -> None:
    """However far the server has read when it refuses."""
    for _ in range(20):
        refusal, *rest = parse(exchange(alone.address, POST + BODY + GET))
        refusal.problem(401, "unauthenticated")
        assert [answer.status for answer in rest] == ([] if "connection" in refusal.headers else [200])
