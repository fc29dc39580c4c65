"""What every request and every response has in common."""

import asyncio
from typing import Any
from uuid import UUID

import msgspec
import pytest
from litestar.exceptions import LitestarException
from litestar.testing import AsyncTestClient
from structlog.testing import capture_logs

from retinue.domain.errors import StreamBroken, StreamMoved
from retinue.http.middleware import Edge, EdgeLimits
from tests.unit.http.conftest import LIMITS, small_app

Client = AsyncTestClient[Any]
THING = "/things/01890000-0000-7000-8000-000000000000"
TENANT = "tenant_id=01890000-0000-7000-8000-000000000000"


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nope", 404, "not_found"),
        ("GET", "/", 404, "not_found"),
        ("GET", "/things/nonsense", 404, "not_found"),
        ("GET", "/things/%00", 404, "not_found"),
        ("GET", "/%ff%fe", 404, "not_found"),
        ("GET", THING, 404, "not_found"),
        ("PUT", "/things", 405, "method_not_allowed"),
        ("BREW", "/things", 405, "method_not_allowed"),
        ("HEAD", "/things", 405, "method_not_allowed"),
        ("GET", "/list", 422, "validation_failed"),
        ("GET", "/boom", 500, "internal_error"),
        ("GET", "/slow-provider", 429, "provider_rate_limited"),
    ],
)
async def test_every_failure_is_a_problem_document(
    client: Client, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    if method != "HEAD":
        problem = response.json()
        assert problem["type"] == f"urn:retinue:problem:{code}"
        assert (problem["code"], problem["status"]) == (code, status)
        assert problem["title"]
        assert problem["instance"].startswith("/")
        assert problem["retryable"] is (status == 429)


async def test_missing_and_malformed_ids_answer_the_same(client: Client) -> None:
    bodies = [(await client.get(path)).json() for path in (THING, "/things/nonsense", "/things/" + "9" * 300)]
    for body in bodies:
        del body["instance"]
    assert bodies[0] == bodies[1] == bodies[2]


async def test_no_internals_leave(client: Client) -> None:
    response = await client.get("/boom")
    assert "10.0.0.7" not in response.text
    assert "RuntimeError" not in response.text


async def test_405_names_what_is_allowed(client: Client) -> None:
    response = await client.request("PATCH", THING)
    assert response.headers["allow"] == "DELETE, GET, HEAD, OPTIONS"


async def test_a_provider_that_says_how_long_is_quoted(client: Client) -> None:
    assert (await client.get("/slow-provider")).headers["retry-after"] == "2"


@pytest.mark.parametrize("path", ["/who", "/nope", "/boom", "/list"])
async def test_every_response_carries_the_headers(client: Client, path: str) -> None:
    headers = (await client.get(path)).headers
    assert UUID(headers["x-request-id"]).version == 7
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(("given", "is_kept"), [("job-7.a_b:c", True), ("a" * 128, True), ("a" * 129, False)])
async def test_a_safe_request_id_is_kept(client: Client, given: str, is_kept: bool) -> None:
    answered = (await client.get("/who", headers={"x-request-id": given})).headers["x-request-id"]
    assert (answered == given) is is_kept


@pytest.mark.parametrize("given", ["a b", "\xe9", "<script>", "", '"'])
async def test_an_unsafe_request_id_is_replaced(given: str) -> None:
    headers = [(b"x-request-id", given.encode("latin-1"))]
    answer = await call(small_app(), scope("GET", "/who", headers), [])
    assert UUID(answer.headers["x-request-id"]).version == 7


async def test_head_answers_like_get_without_a_body(client: Client) -> None:
    get, head = await client.get("/who"), await client.head("/who")
    assert head.status_code == 200
    assert head.content == b""
    assert head.headers["content-length"] == get.headers["content-length"]


async def test_options_names_the_methods(client: Client) -> None:
    response = await client.options("/who")
    assert (response.status_code, response.headers["allow"]) == (204, "GET, HEAD, OPTIONS")


async def test_an_idempotency_key_on_get_means_nothing(client: Client) -> None:
    assert (await client.get("/who", headers={"idempotency-key": "k"})).status_code == 200


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("", "tenant_id"),
        ("tenant_id=x", "tenant_id"),
        (f"{TENANT}&limit=0", "limit"),
        (f"{TENANT}&limit=201", "limit"),
        (f"{TENANT}&limit=many", "limit"),
        (f"{TENANT}&limit=1e400", "limit"),
        (f"{TENANT}&limits=3", "limits"),
        (f"{TENANT}&limit=3&limit=4", "limit"),
        (f"{TENANT}&%ff=1", "ÿ"),
    ],
)
async def test_query_parameters_are_named(client: Client, query: str, parameter: str) -> None:
    response = await client.get(f"/list?{query}")
    assert response.status_code == 422
    assert [error["parameter"] for error in response.json()["errors"]] in ([parameter], ["\N{REPLACEMENT CHARACTER}"])


async def test_odd_bytes_in_a_query_do_no_harm(client: Client) -> None:
    response = await client.get(f"/list?{TENANT}&text=%ff%ED%A0%80")
    assert response.status_code == 200


async def test_announced_size_is_refused_before_anything_is_read(client: Client) -> None:
    response = await client.post("/things", content=b"x" * (LIMITS.body_bytes + 1))
    assert (response.status_code, response.json()["code"]) == (413, "body_too_large")


class Answer(msgspec.Struct):
    status: int
    headers: dict[str, str]
    body: bytes
    is_complete: bool


def scope(method: str, path: str, headers: list[tuple[bytes, bytes]] | None = None) -> dict[str, Any]:
    return {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(errors="replace"),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"localhost"), *(headers or [])],
        "http_version": "1.1",
        "scheme": "http",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "extensions": {},
    }


async def call(app: Any, scope: dict[str, Any], messages: list[dict[str, Any]]) -> Answer:
    """Call an ASGI application; after `messages` the client says nothing more and stays."""
    sent: list[dict[str, Any]] = []
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        if (message := next(left, None)) is not None:
            return message
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async with asyncio.timeout(5):
        await app(scope, receive, send)
    start, *rest = sent
    is_complete = bool(rest) and not rest[-1]["more_body"]
    headers = {name.decode().lower(): value.decode("latin-1") for name, value in start["headers"]}
    return Answer(start["status"], headers, b"".join(message["body"] for message in rest), is_complete)


def chunk(body: bytes, *, more: bool) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_unannounced_size_is_refused_while_it_comes() -> None:
    chunks = [chunk(b" " * 4_000, more=True)] * 3
    answer = await call(small_app(), scope("POST", "/things"), chunks)
    assert answer.status == 413


async def test_a_body_that_does_not_come_times_out() -> None:
    answer = await call(small_app(), scope("POST", "/things"), [chunk(b'{"name"', more=True)])
    assert answer.status == 408
    assert msgspec.json.decode(answer.body)["code"] == "request_timeout"


async def test_a_client_that_leaves_in_the_middle_is_no_failure_of_ours() -> None:
    answer = await call(small_app(), scope("POST", "/things"), [chunk(b"{", more=True), {"type": "http.disconnect"}])
    assert answer.status == 400


async def test_a_body_in_pieces_is_put_together() -> None:
    pieces = [chunk(b'{"na', more=True), chunk(b"", more=True), chunk(b'me":"a"}', more=False)]
    answer = await call(small_app(), scope("POST", "/things"), pieces)
    assert answer.status == 201


async def test_without_credentials_the_body_is_not_waited_for() -> None:
    answer = await call(small_app("the-key"), scope("POST", "/things"), [])
    assert answer.status == 401


@pytest.mark.parametrize("value", [b"-1", b"x", b"9" * 30, b"1_0"])
async def test_a_broken_content_length_is_refused(value: bytes) -> None:
    answer = await call(small_app(), scope("POST", "/things", [(b"content-length", value)]), [])
    assert answer.status == 413


async def test_a_raw_path_that_is_no_text_is_a_problem() -> None:
    broken = scope("GET", "/\udcff\x00\u2028")
    answer = await call(small_app(), broken | {"raw_path": b"/\xff\x00"}, [])
    assert answer.status == 404


async def test_what_nobody_catches_is_a_problem_too() -> None:
    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    answer = await call(Edge(broken, EdgeLimits()), scope("GET", "/"), [])
    assert (answer.status, msgspec.json.decode(answer.body)["code"]) == (500, "internal_error")


async def test_a_response_that_has_begun_is_broken_off() -> None:
    async def breaks(_scope: object, _receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await call(Edge(breaks, EdgeLimits()), scope("GET", "/"), [])


@pytest.mark.parametrize(("error", "level"), [(StreamBroken(), "warning"), (StreamMoved(), "info")])
@pytest.mark.parametrize("is_wrapped", [False, True])
async def test_a_stream_that_is_broken_off_on_purpose_is_no_failure(
    is_wrapped: bool, error: StreamBroken, level: str
) -> None:
    async def breaks(_scope: object, _receive: object, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"begun", "more_body": True})
        if is_wrapped:
            raise LitestarException from error
        raise error

    with capture_logs() as logs:
        answer = await call(Edge(breaks, EdgeLimits()), scope("GET", "/stream"), [])
    assert (answer.status, answer.body, answer.is_complete) == (200, b"begun", False)
    assert [(entry["event"], entry["log_level"], entry["path"]) for entry in logs] == [
        (error.problem_code, level, "/stream")
    ]


async def test_a_stream_that_cannot_begin_is_a_problem() -> None:
    async def breaks(*_: object) -> None:
        raise StreamBroken

    answer = await call(Edge(breaks, EdgeLimits()), scope("GET", "/"), [])
    assert (answer.status, msgspec.json.decode(answer.body)["code"]) == (500, "stream_broken")


async def test_head_stops_a_stream() -> None:
    async def endless(_scope: object, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass
        await send({"type": "http.response.body", "body": b"late", "more_body": False})

    answer = await call(Edge(endless, EdgeLimits()), scope("HEAD", "/"), [])
    assert (answer.status, answer.body) == (200, b"")
