"""Methods, paths, ids, parameters and headers that nobody should send."""

import re
from uuid import UUID

import msgspec
import pytest

from retinue.domain.ids import new_id
from tests.e2e.contract.checked import CheckedClient
from tests.e2e.contract.description import Description
from tests.e2e.contract.routes import ENDLESS, ROUTES, Place, settle
from tests.e2e.contract.wire import RawAnswer, fetch
from tests.support.server import RetinueServer

pytestmark = pytest.mark.slow

METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "QUERY", "PROPFIND")


@pytest.fixture
async def place(client: CheckedClient) -> Place:
    return await settle(client)


def send(server: RetinueServer, method: str, target: str, **headers: str) -> RawAnswer:
    """With the key and without a body."""
    assert server.key is not None
    given = {"x-api-key": server.key, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return fetch(server.address, method, target, headers=given)


def methods_of(description: Description, path: str) -> set[str]:
    described = {method.upper() for method in description.document["paths"][path]}
    return described | {"OPTIONS"} | ({"HEAD"} if "GET" in described else set())


def test_every_path_names_its_methods(retinue: RetinueServer, description: Description, place: Place) -> None:
    for path in description.document["paths"]:
        offered = methods_of(description, path)
        for method in METHODS:
            if method in offered:
                continue
            answer = send(retinue, method, place.fill(path))
            assert answer.status == 405, (method, path, answer)
            if method != "HEAD":
                answer.problem(405, "method_not_allowed")
            assert {name.strip() for name in answer.headers["allow"].split(",")} == offered, (method, path)
        answer = send(retinue, "OPTIONS", place.fill(path))
        assert (answer.status, answer.body) == (204, b"")
        assert {name.strip() for name in answer.headers["allow"].split(",")} == offered, path


def test_head_is_get_without_a_body(retinue: RetinueServer, description: Description, place: Place) -> None:
    for path, item in description.document["paths"].items():
        if "get" not in item or path == ENDLESS:
            continue
        asks_for_tenant = any(
            each["name"] == "tenant_id" and each["in"] == "query" for each in item["get"]["parameters"]
        )
        target = place.fill(path) + (f"?tenant_id={place.tenant}" if asks_for_tenant else "")
        get, head = send(retinue, "GET", target), send(retinue, "HEAD", target)
        assert get.status == 200, (target, get)
        assert (head.status, head.body) == (200, b"")
        for name in {"content-type", "content-length"} & get.headers.keys():
            assert head.headers[name] == get.headers[name], target
    endless = send(retinue, "HEAD", place.fill(ENDLESS))
    assert (endless.status, endless.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    missing = send(retinue, "HEAD", "/api/v1/nowhere")
    assert (missing.status, missing.body) == (404, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/api",
        "/api/v1",
        "/api/v2/tenants",
        "/api/v1/tenant",
        "/api/v1/Tenants",
        "/api/v1/tenants/me",
        "/api/v1/tenants/%00",
        "/api/v1/tenants/%ff%fe",
        "/api/v1/tenants/..",
        "/api/v1/tenants/%2e%2e/health",
        "/api/v1/tenants/../../../etc/passwd",
        "/api/v1/tenants/..%2f..%2fetc%2fpasswd",
        "/api/v1/tenants/%5c..%5c",
        "/api/v1/tenants;id=1",
        "/api/v1/tenants/{tenant_id}",
        "/api/v1/tenants/%7Btenant_id%7D",
        "/api/v1/tenants/' OR 1=1--".replace(" ", "%20"),
        "/api/v1/tenants/<script>alert(1)</script>",
        "/api/v1/tenants/%F0%9F%8D%B5",
        "/api/v1/tenants/null",
        "/api/v1/tenants/" + "a" * 8000,
        "/a" * 2000,
        "/%",
        "/%zz",
        "/docs",
        "/schema",
        "/metrics",
        "/.env",
        "/static/../../settings.toml",
    ],
)
def test_what_is_not_there_is_not_found(retinue: RetinueServer, path: str) -> None:
    for method in ("GET", "POST", "DELETE"):
        answer = send(retinue, method, path)
        # Where the pattern of an id could have stood, the method is looked at first.
        if method == "GET" or answer.status != 405:
            answer.problem(404, "not_found")
        instance = msgspec.json.decode(answer.body)["instance"]
        assert re.fullmatch(r"[\x21-\x7e]+", instance), instance
        assert "<" not in instance


@pytest.mark.parametrize(
    "path", ["//api//v1//tenants", "/api/v1/tenants/", "/api/v1/tenants%2F", "/api/v1//tenants?limit=1"]
)
def test_superfluous_slashes_do_not_matter_or_are_not_found(retinue: RetinueServer, path: str) -> None:
    assert send(retinue, "GET", path).status in {200, 404}
    assert fetch(retinue.address, "GET", path).status in {401, 404}


ODD_IDS = (
    "0",
    "-1",
    "x",
    "01928f6e-0000-7000-8000-00000000000",
    "01928f6e-0000-7000-8000-0000000000011",
    "01928f6e-0000-7000-8000-00000000000g",
    "01928f6e-0000-7000-8000-000000000001%00",
    "01928f6e-0000-7000-8000-000000000001%0a",
    "%20",
    "null",
    "undefined",
    "%EF%BC%90" * 32,
)


def test_malformed_and_unknown_ids_look_the_same(
    retinue: RetinueServer, description: Description, place: Place
) -> None:
    """No word and no status tells a malformed id from one that was never given out."""
    for path, method, operation in description.operations():
        if "{" not in path:
            continue
        body = next((r.body(place) for r in ROUTES if (r.method, r.template) == (method, path)), None)
        content = msgspec.json.encode(body) if body is not None else None
        headers = {"x-api-key": retinue.key or "", **({"content-type": "application/json"} if content else {})}
        for wrong in (str(new_id()), place.conversation if "conversation" not in path else place.tenant, *ODD_IDS):
            target = re.sub(r"\{[^}]+\}", wrong, path)
            answer = fetch(retinue.address, method, target, headers=headers, body=content)
            answer.problem(404, "not_found")
            document = msgspec.json.decode(answer.body)
            assert document["detail"] == document["title"], (method, target)
        assert operation["responses"]["404"]


def test_ids_in_other_spellings_lead_to_the_same_or_nowhere(retinue: RetinueServer, place: Place) -> None:
    own = UUID(place.tenant)
    for spelling in (place.tenant.upper(), own.hex, f"%7B{own}%7D", f"urn:uuid:{own}"):
        answer = send(retinue, "GET", f"/api/v1/tenants/{spelling}")
        assert answer.status in {200, 404}, answer
        if answer.status == 200:
            assert msgspec.json.decode(answer.body)["id"] == place.tenant


def test_ids_in_bodies_and_queries(retinue: RetinueServer, place: Place) -> None:
    for name in ("tenant_id", "employee_id"):
        for wrong in ("x", "", "null", "01928f6e", "%00", "%ff"):
            query = {"tenant_id": place.tenant, name: wrong}
            target = "/api/v1/conversations?" + "&".join(f"{key}={value}" for key, value in query.items())
            answer = send(retinue, "GET", target)
            answer.problem(422, "validation_failed")
            assert [error["parameter"] for error in msgspec.json.decode(answer.body)["errors"]] == [name]
    unknown = send(retinue, "GET", f"/api/v1/conversations?tenant_id={new_id()}")
    assert unknown.status in {200, 404}
    assert unknown.status == 404 or unknown.body == b"[]"


def test_unknown_parameters_are_refused_on_every_route(
    retinue: RetinueServer, description: Description, place: Place
) -> None:
    for path, method, _ in description.operations():
        for query in ("nonsense=1", "%00=1", "%ff=1", "limit[]=1", "=", "a=1&a=2", "tenant_id%20=x", "x" * 3000):
            answer = send(retinue, method, f"{place.fill(path)}?{query}")
            answer.problem(422, "validation_failed")
            description.check(
                method, place.fill(path), 422, answer.headers["content-type"], msgspec.json.decode(answer.body)
            )


@pytest.mark.parametrize(
    "headers",
    [
        {"accept": "text/html"},
        {"accept": "\xff\xfe"},
        {"accept-encoding": "br;q=1, *;q=0"},
        {"accept-language": "x" * 4000},
        {"if-none-match": "*"},
        {"range": "bytes=0-0"},
        {"expect": "100-continue"},
        {"expect": "something-else"},
        {"upgrade": "websocket", "sec_websocket_version": "13"},
        {"cookie": 'a="unclosed; \xff=1;;; =;'},
        {"host": "evil.example.com"},
        {"x_forwarded_for": "' OR 1=1", "x_forwarded_host": "evil.example.com", "x_forwarded_proto": "gopher"},
        {"x_http_method_override": "DELETE"},
        {"x_request_id": "<script>"},
        {"content_type": "application/json"},
        {"traceparent": "garbage"},
        {"origin": "https://evil.example.com"},
    ],
)
def test_headers_that_mean_nothing_here(retinue: RetinueServer, headers: dict[str, str]) -> None:
    answer = send(retinue, "GET", "/api/v1/tenants?limit=1", **headers)
    assert answer.status == 200, answer
    assert "access-control-allow-origin" not in answer.headers
    assert b"evil.example.com" not in answer.body
    assert "evil.example.com" not in answer.headers.get("link", "")
    UUID(answer.headers["x-request-id"])


def test_a_host_that_is_none_is_refused_or_ignored(retinue: RetinueServer) -> None:
    for host in ("\xff", "a b", "", "x:y:z", "[::1", "a" * 3000):
        assert send(retinue, "GET", "/api/v1/tenants?limit=1", host=host).status in {200, 400}


def test_what_is_no_idempotency_key_is_refused_by_every_post(
    retinue: RetinueServer, description: Description, place: Place
) -> None:
    bodies = {(route.method, route.template): route for route in ROUTES}
    for path, method, _ in description.operations():
        if method != "POST":
            continue
        route = bodies.get((method, path))
        body = {} if route is None else {"body": msgspec.json.encode(route.body(place))}
        for key in ("", "two words", "k" * 256, "schl\xfcssel"):
            headers = {"x-api-key": retinue.key or "", "content-type": "application/json", "idempotency-key": key}
            answer = fetch(retinue.address, method, place.fill(path), headers=headers, **body)
            answer.problem(422, "invalid_idempotency_key")


def test_every_answer_has_its_headers(retinue: RetinueServer) -> None:
    for target in ("/api/v1/health", "/api/v1/nowhere", "/api/v1/tenants?limit=0"):
        headers = send(retinue, "GET", target, x_request_id="mine-1").headers
        assert headers["x-request-id"] == "mine-1"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert "server" not in headers
