"""`/tenants/{tenant_id}/limits`."""

from typing import Any

import pytest

from retinue.domain.ids import new_id
from tests.contract.http.api import Client

NOTHING = {"requests_per_minute": None, "tokens_per_minute": None, "concurrent_runs": None}
DEFAULTS = {
    "tenant": NOTHING | {"requests_per_minute": 600},
    "key": NOTHING,
    "user": NOTHING | {"concurrent_runs": 2},
}


async def test_before_anybody_chose_the_defaults_are_in_force(client: Client) -> None:
    tenant = await client.tenant()
    found = await client.call("GET", f"/tenants/{tenant}/limits", 200)
    assert found == {"tenant": NOTHING, "key": NOTHING, "user": NOTHING, "in_force": DEFAULTS}


async def test_what_was_chosen_is_shown_with_what_it_comes_to(client: Client) -> None:
    path = f"/tenants/{await client.tenant()}/limits"
    body = {"tenant": {"requests_per_minute": 0, "tokens_per_minute": 9}, "user": {"concurrent_runs": 5}}
    put = await client.call("PUT", path, 200, json=body)
    assert put == {
        "tenant": NOTHING | {"requests_per_minute": 0, "tokens_per_minute": 9},
        "key": NOTHING,
        "user": NOTHING | {"concurrent_runs": 5},
        "in_force": {
            "tenant": NOTHING | {"tokens_per_minute": 9},
            "key": NOTHING,
            "user": NOTHING | {"concurrent_runs": 5},
        },
    }
    assert await client.call("GET", path, 200) == put


async def test_what_is_left_out_is_taken_back(client: Client) -> None:
    path = f"/tenants/{await client.tenant()}/limits"
    await client.call("PUT", path, 200, json={"key": {"concurrent_runs": 5}})
    assert (await client.call("PUT", path, 200, json={}))["in_force"] == DEFAULTS


async def test_other_tenants_keep_theirs(client: Client) -> None:
    acme, other = await client.tenant(), await client.tenant("other")
    await client.call("PUT", f"/tenants/{acme}/limits", 200, json={"tenant": {"concurrent_runs": 1}})
    assert (await client.call("GET", f"/tenants/{other}/limits", 200))["in_force"] == DEFAULTS


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"tenant": {"requests_per_minute": -1}}, "/tenant/requests_per_minute"),
        ({"key": {"concurrent_runs": 2**31}}, "/key/concurrent_runs"),
        ({"user": {"tokens_per_minute": 1.5}}, "/user/tokens_per_minute"),
        ({"tenant": {"requests_per_hour": 1}}, "/tenant/requests_per_hour"),
        ({"employee": {}}, "/employee"),
    ],
)
async def test_a_bound_that_is_none_is_refused(lone_client: Client, body: dict[str, Any], pointer: str) -> None:
    path = f"/tenants/{await lone_client.tenant()}/limits"
    problem = await lone_client.problem("PUT", path, 422, "validation_failed", json=body)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_tenant_that_is_not_there_has_no_limits(client: Client, method: str) -> None:
    body: dict[str, Any] = {"json": {}} if method == "PUT" else {}
    await client.problem(method, f"/tenants/{new_id()}/limits", 404, "not_found", **body)
