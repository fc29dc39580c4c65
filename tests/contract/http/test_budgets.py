"""`/tenants/{tenant_id}/budgets` and `/tenants/{tenant_id}/prices`."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import pytest

from retinue.db.session import Database
from retinue.domain.ids import new_id
from tests.contract.http.api import Calls, Client, client_of
from tests.contract.http.conftest import FakeProviders
from tests.contract.http.stage import stage

OPERATOR_KEY = "the-operator-key-0123456789"
BUDGET = {"subject": "tenant", "period": "day", "limit_micros": 5_000_000}
PRICE = {"provider": "fake", "model": "m", "input_price": 3, "output_price": 4}


async def make(client: Client, tenant: str, **fields: Any) -> dict[str, Any]:
    budget: dict[str, Any] = await client.call("POST", f"/tenants/{tenant}/budgets", 201, json={**BUDGET, **fields})
    return budget


async def test_a_budget_is_made_read_changed_and_removed(client: Client) -> None:
    path = f"/tenants/{(tenant := await client.tenant())}/budgets"
    made = await make(client, tenant, soft_percent=80)
    assert {name: made[name] for name in BUDGET} == BUDGET
    assert (made["subject_id"], made["currency"], made["set_by"]) == (tenant, "USD", "operator")
    assert (made["soft_percent"], made["hard_stop"], made["alerted_at"]) == (80, True, None)
    assert (made["spent_micros"], made["reserved_micros"]) == (0, 0)
    start, end = (datetime.fromisoformat(made[name]) for name in ("period_start", "period_end"))
    assert ((end - start).total_seconds(), start.hour, start.utcoffset()) == (86_400, 0, end.utcoffset())
    one = f"{path}/{made['id']}"
    assert await client.call("GET", one, 200) == made
    assert await client.call("GET", path, 200) == [made]
    changed = await client.call("PATCH", one, 200, json={"limit_micros": 0, "soft_percent": None, "hard_stop": False})
    assert (changed["limit_micros"], changed["soft_percent"], changed["hard_stop"]) == (0, None, False)
    assert await client.call("PATCH", one, 200, json={}) == changed | {"updated_at": ANY}
    assert await client.call("DELETE", one, 204) is None
    for method in ("GET", "DELETE"):
        await client.problem(method, one, 404, "not_found")
    await client.problem("PATCH", one, 404, "not_found", json={})


async def test_every_subject_can_be_bounded(client: Client) -> None:
    tenant = await client.tenant()
    employee = (await client.employee(tenant))["id"]
    key = (await client.call("POST", f"/tenants/{tenant}/api-keys", 201, json={"name": "K", "role": "member"}))["id"]
    named = {"tenant": tenant, "employee": employee, "user": "user-42", "key": key}
    for subject, subject_id in named.items():
        made = await make(
            client, tenant, subject=subject, subject_id=subject_id.upper() if subject == "key" else subject_id
        )
        assert (made["subject"], made["subject_id"]) == (subject, subject_id)
    assert len(await client.call("GET", f"/tenants/{tenant}/budgets", 200)) == 4


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"subject": "employee", "subject_id": str(new_id())}, 404, "not_found"),
        ({"subject": "key", "subject_id": str(new_id())}, 404, "not_found"),
        ({"subject": "employee", "subject_id": "ada"}, 422, "validation_failed"),
        ({"subject": "employee"}, 422, "validation_failed"),
        ({"subject": "user", "subject_id": None}, 422, "validation_failed"),
        ({"subject": "user", "subject_id": " "}, 422, "validation_failed"),
        ({"subject_id": str(new_id())}, 422, "validation_failed"),
        ({"subject": "team"}, 422, "validation_failed"),
        ({"period": "week"}, 422, "validation_failed"),
        ({"limit_micros": -1}, 422, "validation_failed"),
        ({"limit_micros": 2**53}, 422, "validation_failed"),
        ({"limit_micros": 1.5}, 422, "validation_failed"),
        ({"soft_percent": 0}, 422, "validation_failed"),
        ({"soft_percent": 101}, 422, "validation_failed"),
        ({"currency": "EUR"}, 422, "validation_failed"),
        ({"set_by": "operator"}, 422, "validation_failed"),
    ],
)
async def test_what_cannot_be_a_budget_is_refused(
    lone_client: Client, fields: dict[str, Any], status: int, code: str
) -> None:
    path = f"/tenants/{await lone_client.tenant()}/budgets"
    await lone_client.problem("POST", path, status, code, json={**BUDGET, **fields})
    assert await lone_client.call("GET", path, 200) == []


async def test_another_tenants_employee_cannot_be_bounded(lone_client: Client) -> None:
    theirs = (await lone_client.employee(await lone_client.tenant("other")))["id"]
    body = {**BUDGET, "subject": "employee", "subject_id": theirs}
    await lone_client.problem("POST", f"/tenants/{await lone_client.tenant()}/budgets", 404, "not_found", json=body)


async def test_there_is_one_budget_of_a_kind(lone_client: Client) -> None:
    path = f"/tenants/{(tenant := await lone_client.tenant())}/budgets"
    await make(lone_client, tenant)
    await make(lone_client, tenant, period="month")
    await lone_client.problem("POST", path, 409, "budget_exists", json=BUDGET)


async def test_a_tenant_that_is_not_there_has_no_budgets(lone_client: Client) -> None:
    await lone_client.problem("POST", f"/tenants/{new_id()}/budgets", 404, "not_found", json=BUDGET)
    for what in ("budgets", "prices"):
        await lone_client.problem("GET", f"/tenants/{new_id()}/{what}", 404, "not_found")


async def test_a_repeated_request_makes_one_budget(client: Client) -> None:
    path = f"/tenants/{await client.tenant()}/budgets"
    headers = {"idempotency-key": "k"}
    made = [await client.call("POST", path, 201, json=BUDGET, headers=headers) for _ in range(2)]
    assert made[0] == made[1]
    await client.problem(
        "POST", path, 422, "idempotency_key_reused", json=BUDGET | {"limit_micros": 1}, headers=headers
    )


async def test_budgets_are_listed_page_by_page(lone_client: Client) -> None:
    tenant = await lone_client.tenant()
    made = [await make(lone_client, tenant, subject="user", subject_id=f"u{number}") for number in range(3)]
    first = await lone_client.http.get(f"/api/v1/tenants/{tenant}/budgets?limit=2")
    following = first.headers["link"].partition("<")[2].partition(">")[0]
    rest = await lone_client.http.get(following)
    assert [*first.json(), *rest.json()] == made
    await lone_client.problem("GET", f"/tenants/{tenant}/budgets?cursor=x", 422, "invalid_cursor")


class Company:
    """A tenant whose admin and operator both have their say."""

    def __init__(self, http: Any, calls: Calls) -> None:
        self._http, self._calls = http, calls
        self.operator = self._with(OPERATOR_KEY)

    async def open(self) -> None:
        self.tenant = await self.operator.tenant()
        body = {"name": "Admin", "role": "admin"}
        made = await self.operator.call("POST", f"/tenants/{self.tenant}/api-keys", 201, json=body)
        self.admin = self._with(made["key"])

    def _with(self, key: str) -> Client:
        return _KeyedClient(self._http, self._calls, {"x-api-key": key})


class _KeyedClient(Client):
    def __init__(self, http: Any, calls: Calls, headers: Mapping[str, str]) -> None:
        super().__init__(http, calls)
        self._headers = dict(headers)

    async def call(self, method: str, path: str, status: int, **kwargs: Any) -> Any:
        return await super().call(method, path, status, headers=self._headers, **kwargs)

    async def problem(self, method: str, path: str, status: int, code: str, **kwargs: Any) -> dict[str, Any]:
        return await super().problem(method, path, status, code, headers=self._headers, **kwargs)


@pytest.fixture
async def company(lone_database: Database, providers: FakeProviders) -> AsyncIterator[Company]:
    async with opened(lone_database, providers) as company:
        yield company


@asynccontextmanager
async def opened(database: Database, providers: FakeProviders) -> AsyncIterator[Company]:
    calls = Calls()
    async with client_of(stage(OPERATOR_KEY).set(database, providers, calls)) as http:
        company = Company(http, calls)
        await company.open()
        yield company


async def test_what_the_operator_has_set_the_tenant_cannot_take_away(company: Company) -> None:
    tenant = company.tenant
    theirs = await make(company.operator, tenant)
    own = await make(company.admin, tenant)
    assert (theirs["set_by"], own["set_by"]) == ("operator", "tenant")
    path = f"/tenants/{tenant}/budgets"
    assert await company.admin.call("GET", path, 200) == [theirs, own]
    for method, more in (("PATCH", {"json": {"limit_micros": 9}}), ("DELETE", {})):
        await company.admin.problem(method, f"{path}/{theirs['id']}", 403, "budget_set_by_operator", **more)
    assert await company.admin.call("GET", f"{path}/{theirs['id']}", 200) == theirs
    await company.admin.call("PATCH", f"{path}/{own['id']}", 200, json={"limit_micros": 9})
    await company.operator.call("DELETE", f"{path}/{own['id']}", 204)
    await company.operator.call("DELETE", f"{path}/{theirs['id']}", 204)


async def test_the_tenant_cannot_make_models_cheaper_than_the_operator_thinks(company: Company) -> None:
    path, body = f"/tenants/{company.tenant}/prices", {"prices": [PRICE]}
    await company.admin.call("PUT", path, 200, json=body)
    await make(company.admin, company.tenant)
    budgets = f"/tenants/{company.tenant}/budgets"
    await company.operator.problem("POST", budgets, 409, "prices_set_by_tenant", json=BUDGET)
    assert [each["set_by"] for each in await company.operator.call("GET", budgets, 200)] == ["tenant"]
    await company.operator.call("PUT", path, 200, json=body)
    budget = await make(company.operator, company.tenant)
    await company.admin.problem("PUT", path, 403, "prices_bind_operator_budget", json={"prices": []})
    assert [each["set_by"] for each in (await company.admin.call("GET", path, 200))["prices"]] == ["operator"]
    await company.operator.call("PUT", path, 200, json={"prices": []})
    await company.operator.call("DELETE", f"/tenants/{company.tenant}/budgets/{budget['id']}", 204)
    await company.admin.call("PUT", path, 200, json=body)


async def test_prices_are_replaced_as_a_whole(client: Client) -> None:
    path = f"/tenants/{await client.tenant()}/prices"
    assert await client.call("GET", path, 200) == {"prices": []}
    full = PRICE | {"cached_input_price": 1, "cache_write_price": None}
    put = await client.call("PUT", path, 200, json={"prices": [PRICE | {"model": "n"}, full]})
    assert put["prices"][1] == full | {"set_by": "operator"}
    assert await client.call("GET", path, 200) == put
    await client.call("PUT", path, 200, json={"prices": []})
    assert await client.call("GET", path, 200) == {"prices": []}
    await client.problem("PUT", f"/tenants/{new_id()}/prices", 404, "not_found", json={"prices": []})


@pytest.mark.parametrize(
    ("prices", "pointer"),
    [
        ([PRICE, PRICE], "/prices/1"),
        ([PRICE | {"provider": "nobody"}], "/prices/0/provider"),
        ([PRICE | {"input_price": -1}], "/prices"),
        ([PRICE | {"output_price": 10**13}], "/prices"),
        ([{"provider": "fake", "model": "m", "input_price": 1}], "/prices"),
        ([PRICE | {"model": f"m{number}"} for number in range(201)], "/prices"),
        (None, "/prices"),
    ],
)
async def test_what_cannot_be_a_price_is_refused(lone_client: Client, prices: Any, pointer: str) -> None:
    path = f"/tenants/{await lone_client.tenant()}/prices"
    problem = await lone_client.problem("PUT", path, 422, "validation_failed", json={"prices": prices})
    assert problem["errors"][0]["pointer"].startswith(pointer)


class _Any:
    def __eq__(self, _: object) -> bool:
        return True

    __hash__ = object.__hash__


ANY = _Any()
