"""Every change that comes through HTTP leaves a row, in the transaction that makes it."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from litestar.routes import HTTPRoute

from retinue.db.repositories.audit import AuditRepository
from retinue.db.session import Database
from retinue.domain.audit import SYSTEM, acting
from tests.contract.http.api import Calls, Client, make_litestar

OPERATOR = str(UUID(int=0))
MUTATING = {"POST", "PUT", "PATCH", "DELETE"}
CONFIG = {"llm_provider": "fake", "llm_model": "m", "llm_api_key": "the-key-of-acme-123"}

ENGINE = "the engine records it in its own transaction"
CHANGES_NOTHING = "asks the provider and stores nothing but the answer for a repeated key"
ELSEWHERE = {
    "POST /api/v1/tenants/{tenant_id}/config/check": CHANGES_NOTHING,
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


class Change(NamedTuple):
    action: str
    object_type: str
    payload: dict[str, Any]
    chain: str
    """Whose: the tenant's, or the operator's."""
    object_id: str


class Company(NamedTuple):
    """What there is to be changed."""

    client: Client
    tenant: str
    employee: str
    conversation: str


Perform = Callable[[Company], Awaitable[Change]]


async def create_tenant(company: Company) -> Change:
    made = await company.client.tenant("new")
    return Change("tenant.created", "tenant", {"slug": "new"}, OPERATOR, made)


async def update_tenant(company: Company) -> Change:
    await company.client.call("PATCH", f"/tenants/{company.tenant}", 200, json={"name": "Acme", "slug": "acme-2"})
    return Change("tenant.updated", "tenant", {"changed": ["slug"]}, OPERATOR, company.tenant)


async def delete_tenant(company: Company) -> Change:
    await company.client.call("DELETE", f"/tenants/{company.tenant}", 204)
    return Change("tenant.deleted", "tenant", {}, OPERATOR, company.tenant)


async def put_config(company: Company) -> Change:
    path = f"/tenants/{company.tenant}/config"
    await company.client.call("PUT", path, 200, json=CONFIG)
    await company.client.call("PUT", path, 200, json=CONFIG | {"llm_model": "m2", "llm_api_key": "another-key-4567"})
    return Change("config.updated", "config", {"changed": ["llm_model", "llm_api_key"]}, company.tenant, company.tenant)


async def create_employee(company: Company) -> Change:
    made = await company.client.employee(company.tenant, name="Eve", permission="write", tools=["lookup"])
    payload = {"slug": "eve", "permission": "write", "tools": ["lookup"]}
    return Change("employee.created", "employee", payload, company.tenant, made["id"])


async def update_employee(company: Company) -> Change:
    body = {"permission": "write", "system_prompt": "Help quickly.", "role": "assistant"}
    await company.client.call("PATCH", f"/employees/{company.employee}", 200, json=body)
    payload = {"changed": ["system_prompt", "permission"]}
    return Change("employee.updated", "employee", payload, company.tenant, company.employee)


async def delete_employee(company: Company) -> Change:
    await company.client.call("DELETE", f"/employees/{company.employee}", 204)
    return Change("employee.deleted", "employee", {}, company.tenant, company.employee)


async def create_conversation(company: Company) -> Change:
    made = await company.client.conversation(company.tenant, company.employee, title="What nobody should read")
    payload = {"employee_id": company.employee}
    return Change("conversation.created", "conversation", payload, company.tenant, made["id"])


async def update_conversation(company: Company) -> Change:
    path, body = f"/conversations/{company.conversation}", {"title": "New", "session_ttl_seconds": 5}
    await company.client.call("PATCH", path, 200, json=body)
    payload = {"changed": ["title", "session_ttl_seconds"]}
    return Change("conversation.updated", "conversation", payload, company.tenant, company.conversation)


async def delete_conversation(company: Company) -> Change:
    await company.client.call("DELETE", f"/conversations/{company.conversation}", 204)
    return Change("conversation.deleted", "conversation", {}, company.tenant, company.conversation)


CHANGES: dict[str, Perform] = {
    "POST /api/v1/tenants": create_tenant,
    "PATCH /api/v1/tenants/{tenant_id}": update_tenant,
    "DELETE /api/v1/tenants/{tenant_id}": delete_tenant,
    "PUT /api/v1/tenants/{tenant_id}/config": put_config,
    "POST /api/v1/employees": create_employee,
    "PATCH /api/v1/employees/{employee_id}": update_employee,
    "DELETE /api/v1/employees/{employee_id}": delete_employee,
    "POST /api/v1/conversations": create_conversation,
    "PATCH /api/v1/conversations/{conversation_id}": update_conversation,
    "DELETE /api/v1/conversations/{conversation_id}": delete_conversation,
}


async def company_of(client: Client) -> Company:
    tenant = await client.tenant("acme")
    employee = (await client.employee(tenant))["id"]
    return Company(client, tenant, employee, (await client.conversation(tenant, employee))["id"])


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
