"""A page in a browser, byte by byte: preflight, stream, and what goes wrong."""

from typing import Any

import pytest

from tests.e2e.access.conftest import Office
from tests.e2e.streams.talk import begin, open_stream
from tests.support import http1
from tests.support.client import Answer
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

PAGE, STRANGER = "https://app.example.com", "https://evil.example"
PREFLIGHT = {
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,last-event-id",
}


async def raw(office: Office, method: str, path: str, headers: dict[str, str]) -> Answer:
    async with await http1.request(office.server.address, method, path, headers=headers) as response:
        body = await response.read()
    return Answer(response.status, response.headers, body)


async def test_a_browser_s_conversation(office: Office, upstream: ThreadedUpstream) -> None:
    key = await office.key("admin")
    (await key.client.put(f"/tenants/{office.tenant}/origins", {"origins": [PAGE]})).expect(200)
    browser = office.client(await office.token(key))
    path = f"/conversations/{office.conversation.id}/messages/stream"
    allowed = await raw(office, "OPTIONS", f"/api/v1{path}", {"origin": PAGE, **PREFLIGHT})
    assert allowed.expect(204).header("access-control-allow-origin") == PAGE
    for header in PREFLIGHT["access-control-request-headers"].split(","):
        assert header in (allowed.header("access-control-allow-headers") or "").lower()
    refused = await raw(office, "OPTIONS", f"/api/v1{path}", {"origin": STRANGER, **PREFLIGHT})
    assert refused.expect(401).header("access-control-allow-origin") is None
    upstream.enqueue(tokens(3), tokens(3))
    for origin, readable in ((PAGE, PAGE), (STRANGER, None)):
        async with await begin(browser, office.conversation.id, headers={"origin": origin}) as stream:
            frames = await stream.rest()
        assert frames[-1].event == "message_end"
        assert stream.response.header("access-control-allow-origin") == readable
        assert stream.response.header("vary") == "Origin"
        assert stream.response.header("content-type") == "text/event-stream; charset=utf-8"
        assert stream.response.header("set-cookie") is None


async def test_what_a_page_is_refused_it_can_read(office: Office) -> None:
    key = await office.key("admin")
    (await key.client.put(f"/tenants/{office.tenant}/origins", {"origins": [PAGE]})).expect(200)
    browser = office.client(await office.token(key))
    too_much: dict[str, Any] = {"content": "x" * 1_100_000}
    for client, method, path, body, status in (
        (office.client("rtn_user_nonsense"), "GET", "/conversations", None, 401),
        (browser, "GET", "/audit", None, 403),
        (browser, "GET", f"/conversations/{office.tenant}", None, 404),
        (browser, "POST", f"/conversations/{office.conversation.id}/messages", too_much, 413),
    ):
        answer = await client.call(method, path, body, headers={"origin": PAGE})
        assert answer.expect(status).header("access-control-allow-origin") == PAGE
        assert "www-authenticate" in (answer.header("access-control-expose-headers") or "").lower()
    twice = await open_stream(browser, office.conversation.id, headers={"origin": f"{PAGE}, {STRANGER}"}, content="")
    async with twice:
        assert twice.header("access-control-allow-origin") is None
