"""Tenants."""

import asyncio
from typing import Any

import pytest

from tests.contract.http.api import Client

UNKNOWN = "01890000-0000-7000-8000-000000000000"


async def test_a_tenant_lives(client: Client) -> None:
    created = await client.call("POST", "/tenants", 201, json={"name": "Acme", "slug": "acme"})
    assert set(created) == {"id", "name", "slug", "created_at", "updated_at"}
    path = f"/tenants/{created['id']}"
    assert await client.call("GET", path, 200) == created
    changed = await client.call("PATCH", path, 200, json={"name": "Acme Ltd"})
    assert (changed["name"], changed["slug"]) == ("Acme Ltd", "acme")
    assert changed["updated_at"] > created["updated_at"]
    assert await client.call("GET", path, 200) == changed
    assert await client.call("DELETE", path, 204) is None
    for method in ("GET", "DELETE"):
        await client.problem(method, path, 404, "not_found")


async def test_deleting_a_tenant_cancels_its_runs_and_takes_everything_along(client: Client) -> None:
    tenant = await client.tenant()
    employee = await client.employee(tenant)
    conversation = await client.conversation(tenant, employee["id"])
    await client.call("DELETE", f"/tenants/{tenant}", 204)
    assert [[str(part) for part in call] for call in client.calls.cancelled] == [[tenant]]
    await client.problem("GET", f"/employees/{employee['id']}", 404, "not_found")
    await client.problem("GET", f"/conversations/{conversation['id']}", 404, "not_found")


async def test_a_tenant_that_is_not_there_is_not_cancelled(client: Client) -> None:
    await client.problem("DELETE", f"/tenants/{UNKNOWN}", 404, "not_found")
    assert client.calls.cancelled == []


async def test_a_slug_is_taken_once(client: Client) -> None:
    await client.tenant("acme")
    other = await client.tenant("other")
    await client.problem("POST", "/tenants", 409, "slug_taken", json={"name": "A", "slug": "acme"})
    await client.problem("PATCH", f"/tenants/{other}", 409, "slug_taken", json={"slug": "acme"})
    await client.call("PATCH", f"/tenants/{other}", 200, json={"slug": "other"})


async def test_of_many_who_want_a_slug_at_once_one_gets_it(client: Client) -> None:
    body = {"name": "Acme", "slug": "acme"}
    answers = await asyncio.gather(*(client.http.post("/api/v1/tenants", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 7]


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"slug": "a"}, "/name"),
        ({"name": "A"}, "/slug"),
        ({"name": "", "slug": "a"}, "/name"),
        ({"name": " \t\n", "slug": "a"}, "/name"),
        ({"name": "x" * 201, "slug": "a"}, "/name"),
        ({"name": 7, "slug": "a"}, "/name"),
        ({"name": None, "slug": "a"}, "/name"),
        ({"name": "A", "slug": "Not Kebab"}, "/slug"),
        ({"name": "A", "slug": "-a"}, "/slug"),
        ({"name": "A", "slug": "a--b"}, "/slug"),
        ({"name": "A", "slug": "a\n"}, "/slug"),
        ({"name": "A", "slug": "a" * 64}, "/slug"),
        ({"name": "A", "slug": "a", "id": UNKNOWN}, "/id"),
    ],
)
async def test_what_a_tenant_cannot_be(lone_client: Client, body: dict[str, Any], pointer: str) -> None:
    problem = await lone_client.problem("POST", "/tenants", 422, "validation_failed", json=body)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_null_takes_no_name_away(lone_client: Client) -> None:
    tenant = await lone_client.tenant()
    problem = await lone_client.problem("PATCH", f"/tenants/{tenant}", 422, "validation_failed", json={"name": None})
    assert problem["errors"][0]["pointer"] == "/name"


async def test_an_empty_patch_changes_nothing_that_shows(client: Client) -> None:
    tenant = await client.tenant()
    before = await client.call("GET", f"/tenants/{tenant}", 200)
    after = await client.call("PATCH", f"/tenants/{tenant}", 200, json={})
    assert after | {"updated_at": ""} == before | {"updated_at": ""}


async def test_pages_hold_everything_once(client: Client) -> None:
    made = [await client.tenant(f"t-{number}") for number in range(5)]
    seen: list[str] = []
    path: str | None = "/api/v1/tenants?limit=2"
    sizes = []
    while path:
        response = await client.http.get(path)
        assert response.status_code == 200
        seen += [tenant["id"] for tenant in response.json()]
        sizes.append(len(response.json()))
        link = response.headers.get("link", "")
        assert link == "" or link.endswith('>; rel="next"')
        path = link[1 : link.index(">")] if link else None
    assert seen == made
    assert sizes == [2, 2, 1]


async def test_the_last_full_page_has_no_next(client: Client) -> None:
    for number in range(2):
        await client.tenant(f"t-{number}")
    assert "link" not in (await client.http.get("/api/v1/tenants?limit=2")).headers


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "ÿ", "%00", "9" * 300])
async def test_a_cursor_that_nobody_gave_is_refused(lone_client: Client, cursor: str) -> None:
    await lone_client.problem("GET", f"/tenants?cursor={cursor}", 422, "invalid_cursor")


async def test_text_that_databases_refuse_is_repaired(client: Client) -> None:
    raw = rb'{"name":"a\u0000b\ud800c\ud83d\ude00","slug":"odd"}'
    tenant = await client.call("POST", "/tenants", 201, content=raw)
    assert tenant["name"] == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\N{GRINNING FACE}"
    assert await client.call("GET", f"/tenants/{tenant['id']}", 200) == tenant
