"""Pages in browsers: whose answers they may read."""

from typing import Any

import pytest

from retinue.domain.ids import new_id
from tests.contract.access.house import Caller, House, Tenant, open_house

PAGE, OTHER_PAGE = "https://app.example.com", "https://other.example.com:8443"
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
ALLOWED = "access-control-allow-origin"
UNHEARD_OF: list[Any] = [
    "*",
    "null",
    "app.example.com",
    "https://*.example.com",
    "https://APP.example.com",
    "https://app.example.com/",
    "https://app.example.com/path",
    "https://app.example.com?x",
    "https://user@app.example.com",
    "https://app.example.com\n",
    "https://äpp.example.com",
    "https://app..example.com",
    "https://-app.example.com",
    "https://app.example.com:",
    "https://app.example.com:0",
    "https://app.example.com:443",
    "http://app.example.com:80",
    "https://app.example.com:65536",
    "https://[::1]:443",
    "ftp://app.example.com",
    "chrome-extension://abcdef",
    "https://" + "a" * 300,
    7,
]


@pytest.fixture
async def listed(tenant: Tenant) -> Tenant:
    await tenant.admin.call("PUT", f"{tenant.path}/origins", {"origins": [PAGE]})
    return tenant


async def may_read(caller: Caller, method: str, path: str, body: object = None, *, origin: str = PAGE) -> bool:
    response = await caller.ask(method, path, body, headers={"origin": origin})
    assert response.headers.get_list("vary") == ["Origin"], response.headers
    assert "set-cookie" not in response.headers
    assert "access-control-allow-credentials" not in response.headers
    assert response.headers.get(ALLOWED, origin) == origin
    return ALLOWED in response.headers


async def test_a_page_reads_answers_to_its_own_tenant_s_credentials(house: House, listed: Tenant) -> None:
    other = await house.tenant()
    await other.admin.call("PUT", f"{other.path}/origins", {"origins": [OTHER_PAGE]})
    own = await listed.token()
    for caller in (own, listed.admin, listed.viewer):
        assert await may_read(caller, "GET", "/conversations")
        assert not await may_read(caller, "GET", "/conversations", origin=OTHER_PAGE)
    for caller in (await other.token(), other.admin, house.operator):
        assert not await may_read(caller, "GET", f"/conversations?tenant_id={other.id}")
    assert await may_read(other.admin, "GET", "/conversations", origin=OTHER_PAGE)


async def test_a_page_reads_what_went_wrong(house: House, listed: Tenant) -> None:
    """Also what was refused before anybody was asked for."""
    token = await listed.token()
    nobody, stranger = house.nobody, house.caller("rtn_user_nonsense")
    for caller, method, path, body, status in (
        (nobody, "GET", "/conversations", None, 401),
        (stranger, "GET", "/conversations", None, 401),
        (token, "GET", "/employees", None, 403),
        (token, "GET", f"/conversations/{new_id()}", None, 404),
        (token, "GET", "/nowhere", None, 404),
        (token, "PUT", "/conversations", None, 405),
        (token, "POST", "/conversations", {"content": "x" * 1_100_000}, 413),
        (token, "POST", "/conversations", {}, 422),
    ):
        for origin, readable in ((PAGE, True), (OTHER_PAGE, False)):
            response = await caller.ask(method, path, body, headers={"origin": origin})
            assert response.status_code == status, response.text
            assert response.headers["content-type"] == "application/problem+json"
            assert (response.headers.get(ALLOWED) == origin) is readable, (status, origin)
            assert response.headers.get_list("vary") == ["Origin"]


async def test_a_page_reads_that_it_asks_too_often(migrated_file: Any, tmp_path: Any) -> None:
    (tmp_path / "busy.db").write_bytes(migrated_file.read_bytes())
    url = f"sqlite+aiosqlite:///{tmp_path / 'busy.db'}"
    async with open_house(url, RETINUE_RATES_USER_REQUESTS_PER_MINUTE="1") as house:
        tenant = await house.tenant()
        await tenant.admin.call("PUT", f"{tenant.path}/origins", {"origins": [PAGE]})
        token = await tenant.token()
        *_, response = [await token.ask("GET", "/conversations", headers={"origin": PAGE}) for _ in range(3)]
        assert (response.status_code, response.headers[ALLOWED]) == (429, PAGE)
        exposed = response.headers["access-control-expose-headers"].lower().split(", ")
        assert {name for name in response.headers if name.startswith(("ratelimit-", "retry-"))} <= set(exposed)


async def test_a_page_reads_streams(listed: Tenant) -> None:
    token = await listed.token()
    conversation = await listed.converse()
    path = f"/conversations/{conversation}/messages/stream"
    for origin, readable in ((PAGE, True), (OTHER_PAGE, False)):
        response = await token.ask("POST", path, {"content": "Hello"}, headers={"origin": origin})
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert (response.headers.get(ALLOWED) == origin) is readable
        assert "message_end" in response.text


async def test_preflights(house: House, listed: Tenant) -> None:
    """Of any tenant's page, to any place: nobody has said yet who is going to ask for what."""
    for path in ("/conversations", "/tenants", f"/conversations/{new_id()}/messages/stream", "/nowhere"):
        response = await house.nobody.ask("OPTIONS", path, headers={"origin": PAGE, **PREFLIGHT})
        assert (response.status_code, response.headers[ALLOWED]) == (204, PAGE)
        assert "PATCH" in response.headers["access-control-allow-methods"]
        assert "Last-Event-ID" in response.headers["access-control-allow-headers"]
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["x-request-id"]
        assert response.content == b""
    for origin in (OTHER_PAGE, "null", PAGE.upper(), f"{PAGE}/", f"{PAGE}:443", "https://" + "a" * 5000):
        response = await house.nobody.ask("OPTIONS", "/conversations", headers={"origin": origin, **PREFLIGHT})
        assert (response.status_code, ALLOWED in response.headers) == (401, False), origin
        assert "access-control-allow-methods" not in response.headers


async def test_a_page_that_is_taken_off_the_list_reads_nothing_more(house: House, listed: Tenant) -> None:
    token = await listed.token()
    assert await may_read(token, "GET", "/conversations")
    assert await listed.admin.call("GET", f"{listed.path}/origins") == {"origins": [PAGE]}
    put = await listed.admin.call("PUT", f"{listed.path}/origins", {"origins": [OTHER_PAGE, OTHER_PAGE]})
    assert put == {"origins": [OTHER_PAGE]}
    assert not await may_read(token, "GET", "/conversations")
    response = await house.nobody.ask("OPTIONS", "/conversations", headers={"origin": PAGE, **PREFLIGHT})
    assert response.status_code == 401
    assert await may_read(token, "GET", "/conversations", origin=OTHER_PAGE)
    await listed.admin.call("PUT", f"{listed.path}/origins", {"origins": []})
    assert not await may_read(token, "GET", "/conversations", origin=OTHER_PAGE)


async def test_only_what_browsers_write_can_be_listed(lone_tenant: Tenant) -> None:
    path = f"{lone_tenant.path}/origins"
    for origin in UNHEARD_OF:
        problem = await lone_tenant.admin.problem("PUT", path, 422, "validation_failed", {"origins": [PAGE, origin]})
        assert problem["errors"][0]["pointer"] == "/origins/1", origin
    assert await lone_tenant.admin.call("GET", path) == {"origins": []}


async def test_what_browsers_write_can_be_listed(lone_tenant: Tenant) -> None:
    pages = ["http://[::1]:3000", "http://localhost:3000", "https://a-b.example.com:80", "https://xn--pp-yia.example"]
    put = await lone_tenant.admin.call("PUT", f"{lone_tenant.path}/origins", {"origins": pages})
    assert put == {"origins": sorted(pages)}
    many = {"origins": [f"https://app{number}.example" for number in range(51)]}
    await lone_tenant.admin.problem("PUT", f"{lone_tenant.path}/origins", 422, "validation_failed", many)


async def test_in_open_mode_local_pages_that_somebody_listed_read_answers(migrated_file: Any, tmp_path: Any) -> None:
    (tmp_path / "open.db").write_bytes(migrated_file.read_bytes())
    page = "http://localhost:3000"
    async with open_house(f"sqlite+aiosqlite:///{tmp_path / 'open.db'}", is_open=True) as house:
        tenant = await house.nobody.call("POST", "/tenants", {"name": "T", "slug": "t"}, status=201)
        assert not await may_read(house.nobody, "GET", "/tenants", origin=page)
        await house.nobody.call("PUT", f"/tenants/{tenant['id']}/origins", {"origins": [page, PAGE]})
        assert await may_read(house.nobody, "GET", "/tenants", origin=page)
        await house.nobody.problem("GET", "/tenants", 403, "foreign_origin", headers={"origin": PAGE})
