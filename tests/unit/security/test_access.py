"""Credentials and what they open."""

from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar, get
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.testing import AsyncTestClient

from retinue.domain.access import Scope
from retinue.domain.errors import BadRequest, ForeignHost, InvalidRequest, NotFound, Unauthenticated
from retinue.domain.ids import new_id
from retinue.http.problems import exception_handlers
from retinue.security.credentials import MAX_LENGTH, KeyDigest, read_credential
from retinue.security.guards import AccessGuard, public_routes
from retinue.security.loopback import require_loopback
from retinue.security.principal import ANONYMOUS, OPERATOR, Principal
from tests.unit.http.conftest import LOCAL, knowing, small_app

KEY = "operator-key"
Headers = list[tuple[bytes, bytes]]


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer k")],
        [(b"authorization", b"bearer   k  ")],
        [(b"x-api-key", b"k")],
        [(b"x-api-key", b" k "), (b"authorization", b"Bearer k")],
        [(b"host", b"x"), (b"x-api-key", b"k"), (b"x-api-key", b"k")],
    ],
)
def test_one_credential_is_read(headers: Headers) -> None:
    assert read_credential(headers) == b"k"


def test_none_is_none() -> None:
    assert read_credential([(b"host", b"x")]) is None


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"Bearer a"), (b"x-api-key", b"b")],
        [(b"authorization", b"Bearer a"), (b"authorization", b"Bearer b")],
        [(b"x-api-key", b"a"), (b"x-api-key", b"b")],
    ],
)
def test_two_different_credentials_are_refused(headers: Headers) -> None:
    with pytest.raises(BadRequest) as caught:
        read_credential(headers)
    assert caught.value.problem_code == "conflicting_credentials"


@pytest.mark.parametrize(
    "headers",
    [
        [(b"authorization", b"")],
        [(b"authorization", b"Bearer")],
        [(b"authorization", b"Bearer ")],
        [(b"authorization", b"Basic dXNlcjpwYXNz")],
        [(b"authorization", b"Bearer a b")],
        [(b"x-api-key", b"  ")],
        [(b"x-api-key", b"k" * (MAX_LENGTH + 1))],
        [(b"x-api-key", b"k"), (b"authorization", b"Digest k")],
    ],
)
def test_what_is_no_credential_is_refused(headers: Headers) -> None:
    with pytest.raises(Unauthenticated) as caught:
        read_credential(headers)
    assert caught.value.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("key", "credential", "fits"),
    [
        ("key", b"key", True),
        ("key", b"kex", False),
        ("key", b"key2", False),
        ("schlüssel", "schlüssel".encode(), True),
        ("schlüssel", "schlüssel".encode("latin-1"), False),
        ("key", b"\xff\x00", False),
    ],
)
def test_keys_are_compared_as_bytes(key: str, credential: bytes, fits: bool) -> None:
    assert KeyDigest(key).matches(credential) is fits


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"authorization": f"Bearer {KEY}"}, 200),
        ({"x-api-key": KEY}, 200),
        ({"x-api-key": "wrong"}, 401),
        ({"authorization": "Basic x"}, 401),
        ({"authorization": f"Bearer {KEY}", "x-api-key": "other"}, 400),
        ({"x-api-key": "\u00ff\u00fe"}, 401),
    ],
)
async def test_the_operator_key_opens(headers: dict[str, str], status: int) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    async with AsyncTestClient(small_app(KEY)) as client:
        response = await client.get("/who", headers=raw)
    assert response.status_code == status
    if status == 200:
        assert response.text == "operator"
    else:
        assert response.headers["content-type"] == "application/problem+json"
    assert ("www-authenticate" in response.headers) is (status == 401)


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "anything"}, {"authorization": "Basic x"}])
async def test_open_mode_asks_for_nothing(headers: dict[str, str]) -> None:
    async with AsyncTestClient(small_app(), base_url=LOCAL) as client:
        response = await client.get("/who", headers=headers)
    assert (response.status_code, response.text) == (200, "anonymous")


@pytest.mark.parametrize(
    "host", ["localhost", "LocalHost:1", "127.0.0.1", "127.1.2.3:8000", "[::1]", "[::1]:65535", "localhost:8000"]
)
async def test_open_mode_answers_to_this_machine(host: str) -> None:
    async with AsyncTestClient(small_app()) as client:
        for headers in ({}, {"origin": f"http://{host}"}, {"origin": f"https://{host}"}):
            response = await client.get("/who", headers={"host": host, **headers})
            assert response.status_code == 200, headers


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8000",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "evil.example:127.0.0.1",
        "localhost:8000@evil.example",
        "localhost:",
        "0.0.0.0",
        "10.0.0.1",
        "[::]",
        "::1",
        "",
    ],
)
async def test_open_mode_answers_to_no_other_name(host: str) -> None:
    async with AsyncTestClient(small_app()) as client:
        response = await client.get("/who", headers={"host": host})
        assert (response.status_code, response.json()["code"]) == (403, "foreign_host")
        response = await client.get("/who", headers={"host": "localhost", "origin": f"http://{host}"})
        assert (response.status_code, response.json()["code"]) == (403, "foreign_origin")


@pytest.mark.parametrize("origin", ["null", "localhost", "file://localhost", "http://localhost/", "http://localhost x"])
async def test_open_mode_serves_no_odd_origin(origin: str) -> None:
    async with AsyncTestClient(small_app(), base_url=LOCAL) as client:
        response = await client.post("/things", json={"name": "a"}, headers={"origin": origin})
    assert (response.status_code, response.json()["code"]) == (403, "foreign_origin")


def test_a_request_without_a_host_is_refused() -> None:
    with pytest.raises(ForeignHost):
        require_loopback([])


@pytest.mark.parametrize("strange", [{"host": "retinue.example"}, {"origin": "https://app.example"}])
async def test_the_operator_key_opens_from_everywhere(strange: dict[str, str]) -> None:
    async with AsyncTestClient(small_app(KEY)) as client:
        response = await client.get("/who", headers={"x-api-key": KEY, **strange})
    assert response.status_code == 200


def test_a_route_without_the_guard_counts_as_public() -> None:
    @get("/open", public=True)
    async def opened() -> None: ...

    @get("/closed")
    async def closed() -> None: ...

    guarded = Litestar([opened, closed], guards=[AccessGuard(knowing(KEY))], openapi_config=None)
    assert public_routes(guarded) == ["GET /open"]
    forgotten = Litestar([closed], openapi_config=None)
    assert public_routes(forgotten) == ["GET /closed", "OPTIONS /closed"]


async def test_who_comes_next_is_asked_on_public_routes_too_and_not_for_those_who_stay_outside() -> None:
    asked: list[str] = []

    async def note(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        asked.append(connection.url.path)

    @get("/closed", scope=Scope.OPERATE)
    async def closed() -> None: ...

    @get("/open", public=True)
    async def opened() -> None: ...

    handlers = exception_handlers()
    app = Litestar([opened, closed], guards=[AccessGuard(knowing(KEY), then=note)], exception_handlers=handlers)
    async with AsyncTestClient(app) as client:
        for path, headers in (("/open", {}), ("/closed", {}), ("/closed", {"x-api-key": KEY})):
            await client.get(path, headers=headers)
    assert asked == ["/open", "/closed"]


@pytest.mark.parametrize("principal", [OPERATOR, ANONYMOUS])
def test_whoever_sees_all_tenants_has_to_name_one(principal: Principal) -> None:
    wanted = new_id()
    assert principal.tenant_for(wanted) == wanted
    with pytest.raises(InvalidRequest) as caught:
        principal.tenant_for(None)
    assert caught.value.errors[0].parameter == "tenant_id"


def test_whoever_belongs_to_a_tenant_stays_there() -> None:
    own = new_id()
    principal = Principal(kind="key", tenant_id=own, scopes=frozenset())
    assert principal.tenant_for(None) == own
    assert principal.tenant_for(UUID(str(own))) == own
    with pytest.raises(NotFound):
        principal.tenant_for(new_id())
