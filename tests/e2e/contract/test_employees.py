"""Employees with every field, their slugs, and what becomes of those who leave."""

from typing import Any
from uuid import UUID

import pytest

from tests.e2e.contract.checked import CheckedClient
from tests.e2e.contract.conftest import Vendor
from tests.support.upstream import ThreadedUpstream

pytestmark = pytest.mark.slow

EVERYTHING: dict[str, Any] = {
    "name": "Ada Lovelace",
    "role": "support engineer",
    "system_prompt": "You help.\n\nIn Zürich, Київ and 東京.",
    "slug": "ada-lovelace",
    "persona": {"tone": "dry", "greeting": "Good day.", "escalation_message": "A person will call you."},
    "permission": "write",
    "tools": [],
    "model_settings": {"model": "other-model", "temperature": 0.5, "max_output_tokens": 77},
    "reasoning": "high",
    "capabilities": ["billing", "invoices"],
    "labels": ["tier-1"],
    "chat_listen": "mentions",
    "task_listen": "none",
    "max_concurrent_tasks": 3,
}
DEFAULTS: dict[str, Any] = {
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


async def hire(client: CheckedClient, tenant: UUID, **fields: Any) -> dict[str, Any]:
    body = {"tenant_id": tenant, "name": "Ada", "role": "assistant", "system_prompt": "Help.", **fields}
    created: dict[str, Any] = (await client.post("/employees", body)).expect(201).json
    return created


async def test_every_field_comes_back(client: CheckedClient) -> None:
    tenant = await client.create_tenant()
    created = await hire(client, tenant.id, **EVERYTHING)
    assert {name: created[name] for name in EVERYTHING} == EVERYTHING
    assert (await client.get(f"/employees/{created['id']}")).expect(200).json == created
    assert (await client.get(f"/employees?tenant_id={tenant.id}")).expect(200).json == [created]


async def test_what_is_left_out_has_a_default(client: CheckedClient) -> None:
    created = await hire(client, (await client.create_tenant()).id)
    assert {name: created[name] for name in DEFAULTS} == DEFAULTS


async def test_patch_merges_objects_and_replaces_lists(client: CheckedClient) -> None:
    created = await hire(client, (await client.create_tenant()).id, **EVERYTHING)
    patch: dict[str, Any] = {
        "persona": {"tone": None, "greeting": "Hi."},
        "labels": [],
        "reasoning": None,
        "model_settings": {},
    }
    changed = (await client.patch(f"/employees/{created['id']}", patch)).expect(200).json
    assert changed == {
        **created,
        "persona": {"tone": None, "greeting": "Hi.", "escalation_message": "A person will call you."},
        "labels": [],
        "reasoning": None,
        "updated_at": changed["updated_at"],
    }
    assert (await client.get(f"/employees/{created['id']}")).json == changed


async def test_slugs_are_made_from_names_and_are_unique_in_the_tenant(client: CheckedClient) -> None:
    tenant, other = await client.create_tenant(), await client.create_tenant()
    slugs = [(await hire(client, tenant.id, name="Zoë Groß"))["slug"] for _ in range(7)]
    assert slugs[:2] == ["zoe-gro", "zoe-gro-2"]
    assert len(set(slugs)) == 7
    assert (await hire(client, other.id, name="Zoë Groß"))["slug"] == "zoe-gro"
    body = {"tenant_id": tenant.id, "name": "A", "role": "b", "system_prompt": "", "slug": "zoe-gro"}
    (await client.post("/employees", body)).problem(409, "slug_taken")


async def test_an_employee_of_another_tenant_does_not_exist(client: CheckedClient) -> None:
    tenant, other = await client.create_tenant(), await client.create_tenant()
    foreign = await client.create_employee(other.id)
    body = {"tenant_id": tenant.id, "employee_id": foreign.id, "user_id": "u"}
    refused = (await client.post("/conversations", body)).problem(404, "not_found")
    missing = {**body, "employee_id": "01928f6e-0000-7000-8000-00000000dead"}
    assert (await client.post("/conversations", missing)).problem(404, "not_found") == refused
    assert (await client.get(f"/employees?tenant_id={tenant.id}")).expect(200).json == []


async def test_a_deleted_employee_leaves_its_conversations_readable(client: CheckedClient) -> None:
    conversation = await client.hire()
    await client.ask(conversation.id, "Hello")
    (await client.delete(f"/employees/{conversation.employee_id}")).expect(204)
    (await client.get(f"/employees/{conversation.employee_id}")).problem(404, "not_found")
    (await client.patch(f"/employees/{conversation.employee_id}", {"name": "B"})).problem(404, "not_found")
    (await client.delete(f"/employees/{conversation.employee_id}")).problem(404, "not_found")
    assert (await client.get(f"/employees?tenant_id={conversation.tenant_id}")).json == []
    assert len(await client.messages(conversation.id)) == 2
    stream = f"/conversations/{conversation.id}/messages/stream"
    (await client.post(stream, {"content": "Anybody?"})).problem(409, "employee_deleted")
    body = {"tenant_id": conversation.tenant_id, "employee_id": conversation.employee_id, "user_id": "u"}
    (await client.post("/conversations", body)).problem(404, "not_found")
    assert len(await client.messages(conversation.id)) == 2


async def test_the_slug_of_a_deleted_employee_is_free(client: CheckedClient) -> None:
    tenant = await client.create_tenant()
    first = await hire(client, tenant.id, slug="ada")
    (await client.delete(f"/employees/{first['id']}")).expect(204)
    assert (await hire(client, tenant.id, slug="ada"))["slug"] == "ada"


async def test_unknown_tools_are_refused(client: CheckedClient) -> None:
    tenant = await client.create_tenant()
    body = {"tenant_id": tenant.id, "name": "A", "role": "b", "system_prompt": "", "tools": ["teleport"]}
    problem = (await client.post("/employees", body)).problem(422, "unknown_tool")
    assert [error["pointer"] for error in problem["errors"]] == ["/tools/0"]


async def test_the_model_is_told_what_the_employee_says(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    conversation = await vendor.hire(client, **{**EVERYTHING, "reasoning": None})
    await client.ask(conversation.id, "Hi")
    [record] = upstream.requests
    assert record.body["model"] == "other-model"
    assert record.body["max_tokens"] == 77
    assert record.body["temperature"] == 0.5
    system = vendor.prompt(record)[0][1]
    assert system.startswith(EVERYTHING["system_prompt"])
    assert all(text in system for text in EVERYTHING["persona"].values())


async def test_reasoning_is_sent_only_if_somebody_chose(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    conversation = await vendor.hire(client)
    await client.ask(conversation.id, "Hi")
    await client.ask(conversation.id, "Hi", reasoning="off")
    plain, chosen = (record.body for record in upstream.requests)
    assert not {"reasoning_effort", "thinking"} & plain.keys()
    assert chosen.get("reasoning_effort") == "none" or chosen["thinking"] == {"type": "disabled"}
