"""Default deny: every route of the product, and everybody who may knock."""

import re
from typing import Any

import msgspec
import pytest
from litestar import Litestar, get, post
from litestar.routes import HTTPRoute
from litestar.testing import AsyncTestClient

from retinue.domain.access import EVERYTHING, SCOPES_OF, USER_SCOPES, Role, Scope
from retinue.domain.ids import new_id
from retinue.http.problems import exception_handlers
from retinue.security.guards import PUBLIC as OPEN_TO_ALL
from retinue.security.guards import SCOPE, AccessGuard, public_routes, scopes_of_routes
from tests.contract.access import table
from tests.contract.access.house import Caller, House, Tenant, open_house
from tests.unit.http.conftest import LOCAL, knowing

KEY = "operator-key"


def test_the_table_of_routes(lone_house: House) -> None:
    app = lone_house.application.litestar
    found = scopes_of_routes(app)
    print("\n".join(["", *(f"{scope or 'NOBODY':20} {route}" for route, scope in sorted(found.items()))]))  # noqa: T201
    assert found == {route: table.scope_of(route) for route in table.TABLE}
    assert set(public_routes(app)) == table.PUBLIC


def test_no_route_is_public_and_has_a_scope(lone_house: House) -> None:
    for route in lone_house.application.litestar.routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            assert not {OPEN_TO_ALL, SCOPE} <= handler.opt.keys(), route.path
            assert any(isinstance(guard, AccessGuard) for guard in handler.resolve_guards()), route.path


def test_the_roles_are_what_the_table_says() -> None:
    """No scope that no route asks for, and no role that has one too many."""
    assert {table.scope_of(route) for route in table.TABLE} == set(EVERYTHING)
    for role in Role:
        assert {table.scope_of(route) for route in table.TABLE if table.may(role, route)} == SCOPES_OF[role]
    assert set(table.USER_SCOPES) == USER_SCOPES


async def knock(caller: Caller, route: str, tenant_id: str) -> Any:
    """At a route, with ids that nobody has and without a body; the answer."""
    method, path = route.split()
    target = re.sub(r"{\w+}", str(new_id()), path.replace("{tenant_id}", tenant_id))
    return await caller.ask(method, target.removeprefix("/api/v1"))


async def test_everybody_at_every_door(lone_house: House, lone_tenant: Tenant) -> None:
    tenant = lone_tenant
    people = {"admin": tenant.admin, "member": tenant.member, "viewer": tenant.viewer}
    for scope in table.USER_SCOPES:
        people[scope] = await tenant.token(scopes=[scope])
    for who, caller in people.items():
        for route in table.TABLE:
            answer = await knock(caller, route, tenant.id)
            is_refused = answer.status_code == 403 and answer.json()["code"] == "insufficient_scope"
            assert is_refused is not table.may(who, route), (who, route, answer.text)
            assert answer.status_code != 401, (who, route)
            if is_refused:
                wanted = f'error="insufficient_scope", scope="{table.scope_of(route)}"'
                assert answer.headers["www-authenticate"] == f'Bearer realm="retinue", {wanted}'
    for route in table.TABLE:
        nowhere = str(new_id())
        assert (await knock(lone_house.operator, route, nowhere)).status_code not in {401, 403}, route
        assert (await knock(lone_house.nobody, route, tenant.id)).status_code == 401, route
    for route in table.PUBLIC:
        answer = await lone_house.http.get(route.removeprefix("GET "))
        assert answer.status_code == 200, route
    await tenant.admin.call("GET", tenant.path)


async def test_a_refusal_does_not_tell_what_exists(lone_house: House, lone_tenant: Tenant) -> None:
    """Whose it is makes no difference to somebody who may not do it anyway."""
    other = await lone_house.tenant()
    answers = [
        (await lone_tenant.viewer.ask("PUT", f"/tenants/{tenant_id}/config", {})).json()
        for tenant_id in (lone_tenant.id, other.id, new_id())
    ]
    assert {(answer["status"], answer["code"], answer["detail"]) for answer in answers} == {
        (403, "insufficient_scope", "These credentials lack the scope config:write.")
    }


async def test_options_tell_methods_to_whoever_has_credentials(lone_house: House, lone_tenant: Tenant) -> None:
    assert (await lone_house.nobody.ask("OPTIONS", "/tenants")).status_code == 401
    answer = await lone_tenant.viewer.ask("OPTIONS", "/tenants")
    assert (answer.status_code, answer.headers["allow"]) == (204, "GET, HEAD, OPTIONS, POST")


async def test_open_mode_asks_for_no_scope(migrated_file: Any, tmp_path: Any) -> None:
    (tmp_path / "open.db").write_bytes(migrated_file.read_bytes())
    async with open_house(f"sqlite+aiosqlite:///{tmp_path / 'open.db'}", is_open=True) as house:
        for route in table.TABLE:
            answer = await knock(house.nobody, route, str(new_id()))
            allowed = answer.status_code not in {401, 403} or answer.json()["code"] == "tenant_key_required"
            assert allowed, (route, answer.text)


def small_app() -> Litestar:
    @get("/forgotten", sync_to_thread=False)
    def forgotten() -> str:
        return "in"

    @post("/spelled-wrong", scope="operate", sync_to_thread=False)
    def spelled_wrong() -> str:
        return "in"

    @get("/truthy", public="yes", sync_to_thread=False)
    def truthy() -> str:
        return "in"

    @get("/known", scope=Scope.OPERATE, sync_to_thread=False)
    def known() -> str:
        return "in"

    guards = [AccessGuard(knowing(KEY))]
    handlers = exception_handlers()
    return Litestar([forgotten, spelled_wrong, truthy, known], guards=guards, exception_handlers=handlers)


@pytest.mark.parametrize(("method", "path"), [("GET", "/forgotten"), ("POST", "/spelled-wrong"), ("GET", "/truthy")])
async def test_a_route_that_says_nothing_is_closed_to_everybody(method: str, path: str) -> None:
    async with AsyncTestClient(small_app(), base_url=LOCAL) as client:
        assert (await client.request(method, path)).status_code == 401
        answer = await client.request(method, path, headers={"x-api-key": KEY})
        assert (answer.status_code, msgspec.json.decode(answer.content)["code"]) == (403, "forbidden")
        assert (await client.get("/known", headers={"x-api-key": KEY})).text == "in"
    assert scopes_of_routes(small_app())["GET /forgotten"] is None
