"""Employees."""

import asyncio
from typing import Any

import pytest

from tests.contract.http.api import Client

UNKNOWN = "01890000-0000-7000-8000-000000000000"


async def test_an_employee_has_defaults(client: Client) -> None:
    tenant = await client.tenant()
    employee = await client.employee(tenant, name="Ada Lovelace")
    assert employee.pop("id")
    assert employee.pop("created_at") == employee.pop("updated_at")
    assert employee == {
        "tenant_id": tenant,
        "slug": "ada-lovelace",
        "name": "Ada Lovelace",
        "role": "assistant",
        "system_prompt": "Help.",
        "persona": {"tone": None, "greeting": None, "escalation_message": None},
        "permission": "read",
        "tools": [],
        "model_settings": {"model": None, "temperature": None, "max_output_tokens": None},
        "reasoning": None,
        "capabilities": [],
        "labels": [],
        "chat_listen": "all",
        "task_listen": "assigned",
        "max_concurrent_tasks": None,
    }


async def test_every_field_is_kept(client: Client) -> None:
    fields = {
        "name": "Ada",
        "role": "support",
        "system_prompt": "",
        "slug": "the-ada",
        "persona": {"tone": "warm", "greeting": "Hi", "escalation_message": "One moment"},
        "permission": "write",
        "tools": ["lookup"],
        "model_settings": {"model": "m-2", "temperature": 0.25, "max_output_tokens": 100},
        "reasoning": "high",
        "capabilities": ["invoices"],
        "labels": ["b", "a"],
        "chat_listen": "mentions",
        "task_listen": "none",
        "max_concurrent_tasks": 3,
    }
    employee = await client.employee(await client.tenant(), **fields)
    assert {name: employee[name] for name in fields} == fields
    assert await client.call("GET", f"/employees/{employee['id']}", 200) == employee


async def test_a_patch_changes_what_it_names(client: Client) -> None:
    before = await client.employee(await client.tenant(), persona={"tone": "warm", "greeting": "Hi"}, reasoning="low")
    patch = {
        "persona": {"greeting": None, "escalation_message": "Wait"},
        "model_settings": {"temperature": 1},
        "reasoning": None,
        "labels": ["x"],
        "tools": ["lookup"],
        "max_concurrent_tasks": 2,
    }
    after = await client.call("PATCH", f"/employees/{before['id']}", 200, json=patch)
    assert after["persona"] == {"tone": "warm", "greeting": None, "escalation_message": "Wait"}
    assert after["model_settings"] == {"model": None, "temperature": 1.0, "max_output_tokens": None}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {*patch, "updated_at"}
    assert await client.call("GET", f"/employees/{before['id']}", 200) == after


async def test_made_up_slugs_are_free(client: Client) -> None:
    tenant = await client.tenant()
    answers = await asyncio.gather(*(client.employee(tenant, name="Ada") for _ in range(8)))
    slugs = {answer["slug"] for answer in answers}
    assert len(slugs) == 8
    assert {"ada", "ada-2", "ada-3", "ada-4", "ada-5"} <= slugs


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Éva Ünal", "eva-unal"),
        ("李", "employee"),
        ("--", "employee"),
        ("x" * 200, "x" * 63),
        ("a" * 62 + " b", "a" * 62),
    ],
)
async def test_slugs_come_from_names(lone_client: Client, name: str, slug: str) -> None:
    assert (await lone_client.employee(await lone_client.tenant(), name=name))["slug"] == slug


async def test_a_chosen_slug_is_taken_once_in_its_tenant(client: Client) -> None:
    tenant, other = await client.tenant("acme"), await client.tenant("other")
    first = await client.employee(tenant, slug="ada")
    body = {"tenant_id": tenant, "name": "A", "role": "r", "system_prompt": "", "slug": "ada"}
    await client.problem("POST", "/employees", 409, "slug_taken", json=body)
    await client.employee(other, slug="ada")
    second = await client.employee(tenant, slug="bea")
    await client.problem("PATCH", f"/employees/{second['id']}", 409, "slug_taken", json={"slug": "ada"})
    await client.call("DELETE", f"/employees/{first['id']}", 204)
    await client.call("PATCH", f"/employees/{second['id']}", 200, json={"slug": "ada"})


async def test_a_deleted_employee_is_gone(client: Client) -> None:
    tenant = await client.tenant()
    employee = await client.employee(tenant)
    path = f"/employees/{employee['id']}"
    await client.call("DELETE", path, 204)
    for method, body in (("GET", None), ("DELETE", None), ("PATCH", {"name": "B"})):
        await client.problem(method, path, 404, "not_found", json=body)
    assert await client.call("GET", f"/employees?tenant_id={tenant}", 200) == []


async def test_the_list_is_of_one_tenant(client: Client) -> None:
    tenant, other = await client.tenant("acme"), await client.tenant("other")
    made = [(await client.employee(tenant, name=f"E{number}"))["id"] for number in range(3)]
    await client.employee(other)
    listed = await client.call("GET", f"/employees?tenant_id={tenant}", 200)
    assert [employee["id"] for employee in listed] == made
    first = await client.http.get(f"/api/v1/employees?tenant_id={tenant}&limit=2")
    link = first.headers["link"]
    rest = await client.http.get(link[1 : link.index(">")])
    assert [employee["id"] for employee in first.json() + rest.json()] == made


async def test_the_operator_names_the_tenant(lone_client: Client) -> None:
    problem = await lone_client.problem("GET", "/employees", 422, "validation_failed")
    assert problem["errors"][0]["parameter"] == "tenant_id"


async def test_tools_must_exist(lone_client: Client) -> None:
    tenant = await lone_client.tenant()
    body = {"tenant_id": tenant, "name": "A", "role": "r", "system_prompt": "", "tools": ["lookup", "nope"]}
    problem = await lone_client.problem("POST", "/employees", 422, "unknown_tool", json=body)
    assert [error["pointer"] for error in problem["errors"]] == ["/tools/1"]
    employee = await lone_client.employee(tenant)
    await lone_client.problem("PATCH", f"/employees/{employee['id']}", 422, "unknown_tool", json={"tools": ["nope"]})


@pytest.mark.parametrize(
    ("fields", "pointer"),
    [
        ({"persona": {"tone": 7}}, "/persona/tone"),
        ({"persona": {"mood": "x"}}, "/persona/mood"),
        ({"persona": "warm"}, "/persona"),
        ({"tools": ["lookup", 3]}, "/tools/1"),
        ({"tools": "lookup"}, "/tools"),
        ({"labels": [""]}, "/labels/0"),
        ({"labels": ["x"] * 101}, "/labels"),
        ({"model_settings": {"temperature": -1}}, "/model_settings/temperature"),
        ({"permission": "root"}, "/permission"),
        ({"chat_listen": "assigned"}, "/chat_listen"),
        ({"max_concurrent_tasks": 0}, "/max_concurrent_tasks"),
        ({"max_concurrent_tasks": True}, "/max_concurrent_tasks"),
        ({"max_concurrent_tasks": 10**30}, "/max_concurrent_tasks"),
        ({"system_prompt": "x" * 100_001}, "/system_prompt"),
        ({"slug": None}, "/slug"),
        ({"tenant_id": "acme"}, "/tenant_id"),
        ({"name": " "}, "/name"),
        ({"role": ""}, "/role"),
    ],
)
async def test_what_an_employee_cannot_be(lone_client: Client, fields: dict[str, Any], pointer: str) -> None:
    body = {"tenant_id": UNKNOWN, "name": "A", "role": "r", "system_prompt": "", **fields}
    problem = await lone_client.problem("POST", "/employees", 422, "validation_failed", json=body)
    assert [error["pointer"] for error in problem["errors"]] == [pointer]


async def test_a_tenant_that_does_not_exist_employs_nobody(client: Client) -> None:
    body = {"tenant_id": UNKNOWN, "name": "A", "role": "r", "system_prompt": ""}
    await client.problem("POST", "/employees", 404, "not_found", json=body)


async def test_an_answer_may_not_be_longer_than_the_server_allows(lone_client: Client) -> None:
    tenant = await lone_client.tenant()
    settings = {"model_settings": {"max_output_tokens": 4097}}
    body = {"tenant_id": tenant, "name": "A", "role": "r", "system_prompt": "", **settings}
    problem = await lone_client.problem("POST", "/employees", 422, "validation_failed", json=body)
    assert problem["errors"][0]["pointer"] == "/model_settings/max_output_tokens"
    employee = await lone_client.employee(tenant, model_settings={"max_output_tokens": 4096})
    path = f"/employees/{employee['id']}"
    await lone_client.problem("PATCH", path, 422, "validation_failed", json=settings)
    assert (await lone_client.call("GET", path, 200))["model_settings"]["max_output_tokens"] == 4096
