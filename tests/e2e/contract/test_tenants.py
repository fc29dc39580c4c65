"""Tenants: create, list, read, change, delete."""

import pytest

from tests.e2e.contract.checked import CheckedClient

pytestmark = pytest.mark.slow


async def test_a_slug_is_unique_among_all_tenants(client: CheckedClient) -> None:
    first, second = await client.create_tenant(), await client.create_tenant()
    (await client.post("/tenants", {"name": "Twin", "slug": first.slug})).problem(409, "slug_taken")
    (await client.patch(f"/tenants/{second.id}", {"slug": first.slug})).problem(409, "slug_taken")
    assert (await client.get(f"/tenants/{second.id}")).expect(200).json["slug"] == second.slug


async def test_a_freed_slug_can_be_taken(client: CheckedClient) -> None:
    first = await client.create_tenant()
    (await client.delete(f"/tenants/{first.id}")).expect(204)
    (await client.post("/tenants", {"name": "Heir", "slug": first.slug})).expect(201)


async def test_patch_changes_what_it_names(client: CheckedClient) -> None:
    tenant = (await client.get(f"/tenants/{(await client.create_tenant()).id}")).json
    renamed = (await client.patch(f"/tenants/{tenant['id']}", {"name": "Umbenannt"})).expect(200).json
    assert renamed == {**tenant, "name": "Umbenannt", "updated_at": renamed["updated_at"]}
    assert renamed["updated_at"] > tenant["updated_at"]
    unchanged = (await client.patch(f"/tenants/{tenant['id']}", {})).expect(200).json
    assert (unchanged["name"], unchanged["slug"]) == ("Umbenannt", tenant["slug"])


async def test_a_deleted_tenant_takes_everything_with_it(client: CheckedClient) -> None:
    conversation = await client.hire()
    await client.ask(conversation.id, "Hello")
    tenant, employee = conversation.tenant_id, conversation.employee_id
    (await client.delete(f"/tenants/{tenant}")).expect(204)
    for path in (
        f"/tenants/{tenant}",
        f"/tenants/{tenant}/config",
        f"/employees/{employee}",
        f"/conversations/{conversation.id}",
        f"/conversations/{conversation.id}/messages",
    ):
        (await client.get(path)).problem(404, "not_found")
    (await client.delete(f"/tenants/{tenant}")).problem(404, "not_found")
    (await client.patch(f"/tenants/{tenant}", {"name": "Ghost"})).problem(404, "not_found")


async def test_nothing_can_be_created_in_a_tenant_that_is_not_there(client: CheckedClient) -> None:
    tenant = (await client.create_tenant()).id
    (await client.delete(f"/tenants/{tenant}")).expect(204)
    employee = {"tenant_id": tenant, "name": "A", "role": "b", "system_prompt": "c"}
    (await client.post("/employees", employee)).problem(404, "not_found")
    (await client.post("/conversations", {"tenant_id": tenant, "employee_id": tenant, "user_id": "u"})).problem(
        404, "not_found"
    )
    config = {"llm_provider": "scripted", "llm_model": "m"}
    (await client.put(f"/tenants/{tenant}/config", config)).problem(404, "not_found")
    (await client.post(f"/tenants/{tenant}/config/check")).problem(404, "not_found")


@pytest.mark.parametrize("slug", ["Acme", "a_b", "-a", "a-", "a--b", "ä", "a b", "", "a" * 64, "a\n", "a/b", " a"])
async def test_a_slug_is_kebab_case(client: CheckedClient, slug: str) -> None:
    problem = (await client.post("/tenants", {"name": "N", "slug": slug})).problem(422, "validation_failed")
    assert [error["pointer"] for error in problem["errors"]] == ["/slug"]
