"""A request with a key acts once."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from retinue.db.session import Database
from retinue.domain.errors import ProviderReset, StorageFailed
from retinue.domain.idempotency import IdempotencyKey
from retinue.http.idempotency import HEADER, Once, digest_of
from retinue.http.openapi.operations import operations
from retinue.providers.base import ProviderConfig
from tests.contract.http.api import Calls, Client, make_litestar
from tests.contract.http.conftest import FakeProvider, FakeProviders

KEY = {"idempotency-key": "k-1"}
EMPLOYEE = {"name": "Ada", "role": "assistant", "system_prompt": "Help."}
CONFIG = {"llm_provider": "fake", "llm_model": "m", "llm_api_key": "k"}


async def creations(client: Client) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """Path, body, and what another request would say."""
    tenant = await client.tenant()
    employee = (await client.employee(tenant))["id"]
    return [
        ("/tenants", {"name": "Other", "slug": "other"}, {"name": "Others"}),
        ("/employees", {"tenant_id": tenant, **EMPLOYEE}, {"role": "boss"}),
        ("/employees", {"tenant_id": tenant, **EMPLOYEE, "slug": "given"}, {"slug": "another"}),
        ("/conversations", {"tenant_id": tenant, "employee_id": employee, "user_id": "u"}, {"title": "T"}),
    ]


async def test_a_creation_that_is_repeated_answers_the_same_to_the_byte(client: Client) -> None:
    for number, (path, body, other) in enumerate(await creations(client)):
        headers = {"idempotency-key": f"k-{number}"}
        first = await client.http.post(f"/api/v1{path}", json=body, headers=headers)
        assert first.status_code == 201, first.text
        assert "idempotency-replayed" not in first.headers
        again = await client.http.post(f"/api/v1{path}", json=body, headers=headers)
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotency-replayed"] == "true"
        assert again.headers["content-type"] == first.headers["content-type"]
        await client.problem("POST", path, 422, "idempotency_key_reused", json=body | other, headers=headers)
        listed = await client.call(
            "GET", path + (f"?tenant_id={body['tenant_id']}" if "tenant_id" in body else ""), 200
        )
        assert [each["id"] for each in listed].count(first.json()["id"]) == 1


async def test_what_fails_leaves_the_key_free(client: Client) -> None:
    await client.tenant("acme")
    taken = {"name": "A", "slug": "acme"}
    for _ in range(2):
        await client.problem("POST", "/tenants", 409, "slug_taken", json=taken, headers=KEY)
    await client.call("POST", "/tenants", 201, json={"name": "A", "slug": "free"}, headers=KEY)


async def test_equal_requests_at_once_make_one_thing(client: Client) -> None:
    for path, body, _ in await creations(client):
        headers = {"idempotency-key": str(sorted(body)).replace(" ", "")}
        answers = await asyncio.gather(
            *(client.http.post(f"/api/v1{path}", json=body, headers=headers) for _ in range(8))
        )
        assert {answer.status_code for answer in answers} == {201}, [answer.text for answer in answers]
        assert len({answer.content for answer in answers}) == 1
        assert sorted("idempotency-replayed" in answer.headers for answer in answers) == [False] + [True] * 7


async def test_tenants_do_not_share_keys(client: Client) -> None:
    tenants = [await client.tenant("one"), await client.tenant("two")]
    made = [
        await client.call("POST", "/employees", 201, json={"tenant_id": tenant, **EMPLOYEE}, headers=KEY)
        for tenant in tenants
    ]
    assert [employee["tenant_id"] for employee in made] == tenants


async def test_a_check_with_a_key_asks_once(client: Client, providers: FakeProviders) -> None:
    tenant = await client.tenant()
    path = f"/tenants/{tenant}/config/check"
    await client.problem("POST", path, 409, "provider_not_configured", headers=KEY)
    await client.call("PUT", f"/tenants/{tenant}/config", 200, json=CONFIG)
    first = await client.http.post(f"/api/v1{path}", headers=KEY)
    await client.call("PUT", f"/tenants/{tenant}/config", 200, json=CONFIG | {"llm_model": "other"})
    again = await client.http.post(f"/api/v1{path}", headers=KEY)
    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert len(providers.checked) == 1
    await client.call("POST", path, 200, headers={"idempotency-key": "k-2"})
    await client.call("POST", path, 200)
    assert len(providers.checked) == 3


async def configured(client: Client) -> str:
    tenant = await client.tenant()
    await client.call("PUT", f"/tenants/{tenant}/config", 200, json=CONFIG)
    return f"/tenants/{tenant}/config/check"


async def test_a_check_in_flight_keeps_its_key(
    client: Client, providers: FakeProviders, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = await configured(client)
    asked, goes_on = asyncio.Event(), asyncio.Event()
    check = FakeProvider.check

    async def slow(provider: FakeProvider, request: Any) -> None:
        asked.set()
        await goes_on.wait()
        await check(provider, request)

    monkeypatch.setattr(FakeProvider, "check", slow)
    first = asyncio.create_task(client.call("POST", path, 200, headers=KEY))
    async with asyncio.timeout(5):
        await asked.wait()
    await client.problem("POST", path, 409, "idempotency_key_in_use", headers=KEY)
    goes_on.set()
    assert await first == await client.call("POST", path, 200, headers=KEY)
    assert len(providers.checked) == 1


@pytest.mark.parametrize("error", [ProviderReset(), ZeroDivisionError(), StorageFailed()], ids=repr)
async def test_a_check_that_fails_leaves_the_key_free(
    client: Client, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    path = await configured(client)

    def fail(_providers: FakeProviders, config: ProviderConfig) -> FakeProvider:
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(FakeProviders, "open", fail)
        status = (await client.http.post(f"/api/v1{path}", headers=KEY)).status_code
    found = await client.call("POST", path, 200, headers=KEY)
    assert found["ok"] is (status != 200), "an answer of the provider, also a bad one, is a success of the check"


async def test_the_key_of_a_process_that_is_gone_is_free_again(client: Client, database: Database) -> None:
    path = await configured(client)
    tenant = UUID(path.split("/")[2])
    gone = Once(at_work_seconds=-1.0)
    async with database.unit(tenant) as unit:
        key = IdempotencyKey(route=f"POST /api/v1{path}", key="k-1", digest=digest_of(None))
        assert await gone.begin(unit.idempotency, key, goes_on=True) is None
    assert (await client.call("POST", path, 200, headers=KEY))["ok"] is True


def post_routes(app: Litestar) -> set[str]:
    return {
        route.path_format
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "POST" in handler.http_methods
    }


def test_every_post_takes_a_key() -> None:
    nothing: Any = None
    app = make_litestar(nothing, nothing, Calls())
    takes_key = {
        operation.path
        for operation in operations(app)
        if operation.method == "post" and any(parameter.name == HEADER for parameter in operation.parameters)
    }
    assert takes_key == post_routes(app)
    assert len(takes_key) > 7


def test_no_other_method_takes_one() -> None:
    nothing: Any = None
    for operation in operations(make_litestar(nothing, nothing, Calls())):
        if operation.method != "post":
            assert HEADER not in {parameter.name for parameter in operation.parameters}, operation.path
