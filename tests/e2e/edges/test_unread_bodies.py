"""Answers that do not wait for the body: the client hears that its connection ends with them."""

import pytest

from tests.e2e.contract.wire import exchange, parse
from tests.support.forking import ForkedServer

pytestmark = pytest.mark.slow

POST = b"POST /api/v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n"
BODY = b'{"name": "x"}'
GET = b"GET /api/v1/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_a_connection_that_is_not_kept_is_announced(alone: ForkedServer) -> None:
    """Otherwise a client, or a proxy, that has another request to send would send it to nobody."""
    [answer] = parse(exchange(alone.address, POST + BODY[:5]))
    answer.problem(401, "unauthenticated")
    assert answer.headers["connection"] == "close"


def test_a_connection_that_is_announced_as_kept_is_kept(alone: ForkedServer) -> None:
    """However far the server has read when it refuses."""
    for _ in range(20):
        refusal, *rest = parse(exchange(alone.address, POST + BODY + GET))
        refusal.problem(401, "unauthenticated")
        assert [answer.status for answer in rest] == ([] if "connection" in refusal.headers else [200])
