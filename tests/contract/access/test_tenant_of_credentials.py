"""The tenant comes from the credential; whatever else names one has to agree."""

from typing import Any

import pytest

from retinue.domain.ids import new_id
from tests.contract.access import table
from tests.contract.access.house import Caller, House, Tenant

EMPLOYEE = {"name": "Eve", "role": "assistant", "system_prompt": "Help."}


async def without_instance(caller: Caller, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
    response = await caller.ask(method, path, body)
    return response.status_code, {name: value for name, value in response.json().items() if name != "instance"}


@pytest.mark.parametrize("path", ["/employees", "/conversations"])
async def test_a_body_may_leave_the_tenant_out(house: House, tenant: Tenant, path: str) -> None:
    other = await house.tenant()
    body = EMPLOYEE if path == "/employees" else {"employee_id": tenant.employee, "user_id": "u"}
    made = await tenant.admin.call("POST", path, body, status=201)
    assert made["tenant_id"] == tenant.id
    await tenant.admin.call("POST", path, {**body, "tenant_id": tenant.id}, status=201)
    answers = [
        await without_instance(tenant.admin, "POST", path, {**body, "tenant_id": str(tenant_id)})
        for tenant_id in (other.id, new_id())
    ]
    assert answers[0] == answers[1]
    assert (answers[0][0], answers[0][1]["code"]) == (404, "not_found")
    problem = await house.operator.problem("POST", path, 422, "validation_failed", body)
    assert [error["pointer"] for error in problem["errors"]] == ["/tenant_id"]
    missing = await without_instance(house.operator, "POST", path, {**body, "tenant_id": str(new_id())})
    assert missing[:1] == (404,)
    for wrong in (None, "", tenant.id.upper() + "x", 7):
        await tenant.admin.problem("POST", path, 422, "validation_failed", {**body, "tenant_id": wrong})


@pytest.mark.parametrize(
    "path", ["/employees", "/conversations", "/approvals/pending", "/audit", "/audit/commands", "/audit/verify"]
)
async def test_a_query_may_leave_the_tenant_out(house: House, tenant: Tenant, path: str) -> None:
    other = await house.tenant()
    own = await tenant.admin.call("GET", path)
    assert await tenant.admin.call("GET", f"{path}?tenant_id={tenant.id}") == own
    assert await house.operator.call("GET", f"{path}?tenant_id={tenant.id}") == own
    answers = [
        await without_instance(tenant.admin, "GET", f"{path}?tenant_id={tenant_id}")
        for tenant_id in (other.id, new_id(), "00000000-0000-0000-0000-000000000000")
    ]
    assert all(answer == answers[0] for answer in answers)
    assert (answers[0][0], answers[0][1]["code"]) == (404, "not_found")
    problem = await house.operator.problem("GET", path, 422, "validation_failed")
    assert [error["parameter"] for error in problem["errors"]] == ["tenant_id"]


async def test_a_path_names_the_own_tenant_or_none(house: House, tenant: Tenant) -> None:
    """Before anything is looked up, and before the body is read."""
    other = await house.tenant()
    routes = [route for route in table.TABLE if "{tenant_id}" in route and table.may("admin", route)]
    assert len(routes) > 10
    for route in routes:
        method, path = route.split()
        answers = [
            await without_instance(
                tenant.admin, method, path.removeprefix("/api/v1").format(tenant_id=each, key_id=key, budget_id=key)
            )
            for each, key in ((other.id, other.admin.key_id), (new_id(), new_id()))
        ]
        assert answers[0] == answers[1], route
        assert (answers[0][0], answers[0][1]["code"]) == (404, "not_found"), route
    await other.admin.call("GET", other.path)


async def test_only_the_operator_changes_slugs(house: House, tenant: Tenant) -> None:
    """They are unique among all tenants, so that a conflict would tell of another one."""
    other = await house.operator.call("POST", "/tenants", {"name": "O", "slug": f"other-{tenant.id[-6:]}"}, status=201)
    for slug in (other["slug"], "free-as-air"):
        await tenant.admin.problem("PATCH", tenant.path, 403, "insufficient_scope", {"slug": slug})
    await tenant.admin.call("PATCH", tenant.path, {"name": "New"})
    await house.operator.problem("PATCH", tenant.path, 409, "slug_taken", {"slug": other["slug"]})
    changed = await house.operator.call("PATCH", tenant.path, {"slug": f"free-{tenant.id[-6:]}"})
    assert changed["name"] == "New"


async def test_objects_of_another_tenant_are_missing(house: House, tenant: Tenant) -> None:
    other = await house.tenant()
    conversation = await other.converse()
    for path in (f"/employees/{other.employee}", f"/conversations/{conversation}"):
        for method in ("GET", "DELETE"):
            assert await without_instance(tenant.admin, method, path) == await without_instance(
                tenant.admin, method, f"{path.rsplit('/', 1)[0]}/{new_id()}"
            )
    body = {"employee_id": other.employee, "user_id": "u"}
    await tenant.admin.problem("POST", "/conversations", 404, "not_found", body)
    assert await tenant.admin.call("GET", f"/conversations?employee_id={other.employee}") == []


async def test_two_different_credentials_are_refused(house: House, tenant: Tenant) -> None:
    token = await tenant.token()
    credentials = [house.operator, tenant.admin, tenant.viewer, token]
    for first in credentials:
        for second in credentials:
            headers = {"x-api-key": str(second.credential)}
            response = await first.ask("GET", f"/conversations?tenant_id={tenant.id}", headers=headers)
            if first is second:
                assert response.status_code == 200
            else:
                assert (response.status_code, response.json()["code"]) == (400, "conflicting_credentials")


async def test_a_tenant_does_not_answer_in_the_operators_place(house: House, tenant: Tenant) -> None:
    """Whoever guesses the operator's idempotency key and asks first: the bound is set all the same."""
    budgets, headers = f"{tenant.path}/budgets", {"idempotency-key": "bound-1"}
    body = {"subject": "tenant", "period": "month", "limit_micros": 1_000}
    first = await tenant.admin.call("POST", budgets, body, status=201, headers=headers)
    await tenant.admin.call("DELETE", f"{budgets}/{first['id']}", status=204)
    made = await house.operator.call("POST", budgets, body, status=201, headers=headers)
    assert (made["set_by"], await house.operator.call("GET", budgets)) == ("operator", [made])
    assert await house.operator.call("POST", budgets, body, status=201, headers=headers) == made
    assert await tenant.admin.call("POST", budgets, body, status=201, headers=headers) == first
