"""Every change that a request can make and that leaves a row in the audit trail, once done."""

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple
from uuid import UUID

from tests.contract.http.api import Client

OPERATOR = str(UUID(int=0))
CONFIG = {"llm_provider": "fake", "llm_model": "m", "llm_api_key": "the-key-of-acme-123"}
KEY = {"name": "Backend", "role": "member"}


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


async def create_api_key(company: Company) -> Change:
    made = await company.client.call("POST", f"/tenants/{company.tenant}/api-keys", 201, json=KEY)
    return Change("api_key.created", "api_key", {"role": "member"}, company.tenant, made["id"])


async def rotate_api_key(company: Company) -> Change:
    keys = f"/tenants/{company.tenant}/api-keys"
    old = await company.client.call("POST", keys, 201, json=KEY)
    new = await company.client.call("POST", f"{keys}/{old['id']}/rotate", 201, json={})
    return Change("api_key.rotated", "api_key", {"successor": new["id"]}, company.tenant, old["id"])


async def revoke_api_key(company: Company) -> Change:
    keys = f"/tenants/{company.tenant}/api-keys"
    made = await company.client.call("POST", keys, 201, json=KEY)
    await company.client.call("DELETE", f"{keys}/{made['id']}", 204)
    return Change("api_key.revoked", "api_key", {}, company.tenant, made["id"])


async def put_origins(company: Company) -> Change:
    body = {"origins": ["https://app.example.com"]}
    await company.client.call("PUT", f"/tenants/{company.tenant}/origins", 200, json=body)
    return Change("origins.updated", "origins", {}, company.tenant, company.tenant)


async def put_limits(company: Company) -> Change:
    path = f"/tenants/{company.tenant}/limits"
    await company.client.call("PUT", path, 200, json={"tenant": {"concurrent_runs": 3}})
    await company.client.call(
        "PUT", path, 200, json={"tenant": {"concurrent_runs": 4}, "user": {"tokens_per_minute": 0}}
    )
    payload = {"changed": ["tenant.concurrent_runs", "user.tokens_per_minute"]}
    return Change("limits.updated", "limits", payload, company.tenant, company.tenant)


async def a_budget(company: Company, user: str) -> str:
    body = {"subject": "user", "subject_id": user, "period": "day", "limit_micros": 5}
    return str((await company.client.call("POST", f"/tenants/{company.tenant}/budgets", 201, json=body))["id"])


async def create_budget(company: Company) -> Change:
    made = await a_budget(company, "u1")
    bound = {"subject": "user", "subject_id": "u1", "period": "day", "limit_micros": 5, "hard_stop": True}
    return Change("budget.created", "budget", {**bound, "set_by": "operator"}, company.tenant, made)


async def update_budget(company: Company) -> Change:
    path = f"/tenants/{company.tenant}/budgets/{(made := await a_budget(company, 'u2'))}"
    await company.client.call("PATCH", path, 200, json={"limit_micros": 6, "soft_percent": 80, "hard_stop": True})
    return Change("budget.updated", "budget", {"changed": ["limit_micros", "soft_percent"]}, company.tenant, made)


async def delete_budget(company: Company) -> Change:
    made = await a_budget(company, "u3")
    await company.client.call("DELETE", f"/tenants/{company.tenant}/budgets/{made}", 204)
    return Change("budget.deleted", "budget", {}, company.tenant, made)


async def put_prices(company: Company) -> Change:
    path, price = f"/tenants/{company.tenant}/prices", {"provider": "fake", "input_price": 1, "output_price": 2}
    await company.client.call("PUT", path, 200, json={"prices": [price | {"model": "kept"}, price | {"model": "m"}]})
    changed = [price | {"model": "kept"}, price | {"model": "n"}]
    await company.client.call("PUT", path, 200, json={"prices": changed})
    return Change("prices.updated", "prices", {"models": ["fake/m", "fake/n"]}, company.tenant, company.tenant)


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
    "POST /api/v1/tenants/{tenant_id}/api-keys": create_api_key,
    "POST /api/v1/tenants/{tenant_id}/api-keys/{key_id}/rotate": rotate_api_key,
    "DELETE /api/v1/tenants/{tenant_id}/api-keys/{key_id}": revoke_api_key,
    "PUT /api/v1/tenants/{tenant_id}/origins": put_origins,
    "PUT /api/v1/tenants/{tenant_id}/limits": put_limits,
    "POST /api/v1/tenants/{tenant_id}/budgets": create_budget,
    "PATCH /api/v1/tenants/{tenant_id}/budgets/{budget_id}": update_budget,
    "DELETE /api/v1/tenants/{tenant_id}/budgets/{budget_id}": delete_budget,
    "PUT /api/v1/tenants/{tenant_id}/prices": put_prices,
}


async def company_of(client: Client) -> Company:
    tenant = await client.tenant("acme")
    employee = (await client.employee(tenant))["id"]
    return Company(client, tenant, employee, (await client.conversation(tenant, employee))["id"])
