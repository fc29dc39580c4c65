"""Every change that comes through HTTP leaves a row, in the transaction that makes it."""

from typing import Any
from uuid import UUID

import pytest
from litestar.routes import HTTPRoute

from retinue.db.repositories.audit import AuditRepository
from retinue.db.session import Database
from retinue.domain.audit import SYSTEM, acting
from tests.contract.http.api import Calls, Client, make_litestar
from tests.contract.http.changes import CHANGES, CONFIG, OPERATOR, Company, company_of, delete_tenant

MUTATING = {"POST", "PUT", "PATCH", "DELETE"}

ENGINE = "the engine records it in its own transaction"
CHANGES_NOTHING = "asks the provider and stores nothing but the answer for a repeated key"
ELSEWHERE = {
    "POST /api/v1/tenants/{tenant_id}/config/check": CHANGES_NOTHING,
    "POST /api/v1/tenants/{tenant_id}/user-tokens": "only a tenant's key makes them: see the suite of credentials",
    "POST /api/v1/conversations/{conversation_id}/messages": ENGINE,
    "POST /api/v1/conversations/{conversation_id}/messages/stream": ENGINE,
    "POST /api/v1/conversations/{conversation_id}/cancel": ENGINE,
    "POST /api/v1/runs/{run_id}/cancel": ENGINE,
    "POST /api/v1/runs/{run_id}/continue/stream": ENGINE,
    "POST /api/v1/runs/{run_id}/password/stream": ENGINE,
    "POST /api/v1/runs/{run_id}/resolve-effect": ENGINE,
    "POST /api/v1/approvals/{approval_id}/allow_once": ENGINE,
    "POST /api/v1/approvals/{approval_id}/allow_for_conversation": ENGINE,
    "POST /api/v1/approvals/{approval_id}/deny": ENGINE,
    "POST /api/v1/approvals/{approval_id}/decision": ENGINE,
}
"""Mutating routes that leave no row of their own, and why."""


@pytest.fixture
async def company(client: Client) -> Company:
    return await company_of(client)


@pytest.fixture
async def lone_company(lone_client: Client) -> Company:
    return await company_of(lone_client)


def test_every_route_that_changes_something_stands_in_one_of_the_lists() -> None:
    nothing: Any = None
    routes = {
        f"{method} {route.path_format}"
        for route in make_litestar(nothing, nothing, Calls()).routes
        if isinstance(route, HTTPRoute)
        for method in route.methods & MUTATING
    }
    assert routes == CHANGES.keys() | ELSEWHERE.keys()
    assert not CHANGES.keys() & ELSEWHERE.keys()


async def trail(client: Client, chain: str) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = await client.call("GET", f"/audit?tenant_id={chain}&limit=200", 200)
    return entries


@pytest.mark.parametrize("route", CHANGES)
async def test_a_change_leaves_a_row(company: Company, route: str) -> None:
    change = await CHANGES[route](company)
    entry = (await trail(company.client, change.chain))[0]
    assert (entry["action"], entry["object_type"], entry["object_id"]) == (
        change.action,
        change.object_type,
        change.object_id,
    )
    assert entry["payload"] == change.payload
    assert entry["actor"] == "anonymous"
    assert entry["request_id"]
    verdict = await company.client.call("GET", f"/audit/verify?tenant_id={change.chain}", 200)
    assert verdict["is_valid"] is True


@pytest.mark.parametrize("route", CHANGES)
async def test_a_change_without_its_row_is_none(
    lone_company: Company, monkeypatch: pytest.MonkeyPatch, route: str
) -> None:
    """Both are one transaction: if the row cannot be stored, nothing has changed."""
    client = lone_company.client
    before = await state(lone_company)

    async def fail(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr(AuditRepository, "record", fail)
        with pytest.raises(AssertionError, match="internal_error"):
            await CHANGES[route](lone_company)
    assert await state(lone_company) == before
    assert len(await trail(client, OPERATOR)) == 1


async def state(company: Company) -> list[Any]:
    """Everything that these routes can change."""
    client, tenant = company.client, company.tenant
    config = await client.http.get(f"/api/v1/tenants/{tenant}/config")
    return [
        await client.call("GET", "/tenants", 200),
        config.json(),
        await client.call("GET", f"/employees?tenant_id={tenant}", 200),
        await client.call("GET", f"/conversations?tenant_id={tenant}", 200),
        await client.call("GET", f"/tenants/{tenant}/api-keys", 200),
        await client.call("GET", f"/tenants/{tenant}/origins", 200),
        await client.call("GET", f"/tenants/{tenant}/budgets", 200),
        await client.call("GET", f"/tenants/{tenant}/prices", 200),
        await trail(client, tenant),
    ]


async def test_what_changes_nothing_leaves_no_row(lone_company: Company) -> None:
    client = lone_company.client
    before = [await trail(client, chain) for chain in (OPERATOR, lone_company.tenant)]
    await client.call("PATCH", f"/tenants/{lone_company.tenant}", 200, json={"name": "Acme"})
    await client.call("PATCH", f"/employees/{lone_company.employee}", 200, json={"name": "Ada"})
    await client.call("PATCH", f"/conversations/{lone_company.conversation}", 200, json={})
    await client.problem("POST", "/tenants", 409, "slug_taken", json={"name": "A", "slug": "acme"})
    await client.problem("DELETE", f"/conversations/{lone_company.tenant}", 404, "not_found")
    await client.problem("PATCH", f"/employees/{lone_company.employee}", 422, "unknown_tool", json={"tools": ["x"]})
    assert [await trail(client, chain) for chain in (OPERATOR, lone_company.tenant)] == before


async def test_a_repeated_request_leaves_no_second_row(lone_company: Company) -> None:
    body = {"tenant_id": lone_company.tenant, "name": "Bob", "role": "x", "system_prompt": "x"}
    for _ in range(2):
        await lone_company.client.call("POST", "/employees", 201, json=body, headers={"idempotency-key": "k"})
    actions = [entry["action"] for entry in await trail(lone_company.client, lone_company.tenant)]
    assert actions.count("employee.created") == 2, "Ada and Bob"


async def test_a_row_says_which_request_it_was(lone_company: Company) -> None:
    headers = {"x-request-id": "my-request-7"}
    await lone_company.client.call("DELETE", f"/employees/{lone_company.employee}", 204, headers=headers)
    assert (await trail(lone_company.client, lone_company.tenant))[0]["request_id"] == "my-request-7"
    assert acting.get() == SYSTEM, "the request does not leave its name behind"


async def test_nothing_secret_and_nothing_said_is_told(lone_company: Company, lone_database: Database) -> None:
    for perform in CHANGES.values():
        if perform is not delete_tenant:
            await perform(await renewed(lone_company))
    async with lone_database.unit(UUID(lone_company.tenant), read_only=True) as unit:
        told = str(await unit.audit.list(limit=200))
    assert "config.updated" in told
    for secret in (CONFIG["llm_api_key"], "another-key", "What nobody should read", "Help quickly"):
        assert secret not in told


async def renewed(company: Company) -> Company:
    employee = (await company.client.employee(company.tenant))["id"]
    conversation = (await company.client.conversation(company.tenant, employee))["id"]
    return company._replace(employee=employee, conversation=conversation)


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({}, ["llm_api_key"]),
        ({"llm_api_key": None}, ["llm_api_key"]),
        ({"temperature": 0.5, "options": {"include_usage": False}}, ["temperature", "options", "llm_api_key"]),
    ],
)
async def test_a_key_counts_as_changed_whenever_it_is_sent(
    lone_company: Company, change: dict[str, Any], names: list[str]
) -> None:
    path = f"/tenants/{lone_company.tenant}/config"
    await lone_company.client.call("PUT", path, 200, json=CONFIG)
    await lone_company.client.call("PUT", path, 200, json=CONFIG | change)
    entry = (await trail(lone_company.client, lone_company.tenant))[0]
    assert sorted(entry["payload"]["changed"]) == sorted(names)
    kept = {name: value for name, value in CONFIG.items() if name != "llm_api_key"}
    await lone_company.client.call("PUT", path, 200, json=kept | {"llm_model": "m3"})
    entry = (await trail(lone_company.client, lone_company.tenant))[0]
    assert "llm_model" in entry["payload"]["changed"]
    assert ("llm_api_key" in entry["payload"]["changed"]) is False
