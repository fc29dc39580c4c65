"""Conversations: external ids, status, filters, deletion with everything below."""

from typing import Any
from uuid import UUID

import pytest

from tests.e2e.contract.checked import CheckedClient

pytestmark = pytest.mark.slow


async def team(client: CheckedClient) -> tuple[UUID, UUID]:
    """A tenant with an employee."""
    tenant = await client.create_tenant()
    return tenant.id, (await client.create_employee(tenant.id)).id


async def test_an_external_id_is_unique_in_the_tenant(client: CheckedClient) -> None:
    tenant, employee = await team(client)
    other, foreign = await team(client)
    first = await client.create_conversation(tenant, employee, external_id="thread-7")
    body: dict[str, Any] = {"tenant_id": tenant, "employee_id": employee, "user_id": "u", "external_id": "thread-7"}
    (await client.post("/conversations", body)).problem(409, "external_id_taken")
    await client.create_conversation(other, foreign, external_id="thread-7")
    second = await client.create_conversation(tenant, employee, external_id="thread-8")
    taken = await client.patch(f"/conversations/{second.id}", {"external_id": "thread-7"})
    taken.problem(409, "external_id_taken")
    for _ in range(2):
        await client.create_conversation(tenant, employee)
    (await client.delete(f"/conversations/{first.id}")).expect(204)
    (await client.post("/conversations", body)).expect(201)


async def test_filters_combine(client: CheckedClient) -> None:
    tenant, employee = await team(client)
    second = (await client.create_employee(tenant)).id
    mine = await client.create_conversation(tenant, employee, user_id="ann", external_id="x")
    await client.create_conversation(tenant, employee, user_id="bob")
    await client.create_conversation(tenant, second, user_id="ann")
    (await client.patch(f"/conversations/{mine.id}", {"status": "closed"})).expect(200)

    async def found(query: str) -> int:
        return len((await client.get(f"/conversations?tenant_id={tenant}&{query}")).expect(200).json)

    assert await found("user_id=ann") == 2
    assert await found(f"employee_id={employee}") == 2
    assert await found(f"employee_id={second}&user_id=bob") == 0
    assert await found("status=closed") == 1
    assert await found("status=active") == 2
    assert await found("external_id=x") == 1
    assert await found("external_id=X") == 0
    assert await found("user_id=an%25") == 0


async def test_patch_changes_what_it_names(client: CheckedClient) -> None:
    tenant, employee = await team(client)
    created = (
        await client.post(
            "/conversations",
            {"tenant_id": tenant, "employee_id": employee, "user_id": "u", "title": "T", "external_id": "e"},
        )
    ).json
    path = f"/conversations/{created['id']}"
    changed = (await client.patch(path, {"title": None})).expect(200).json
    assert changed == {**created, "title": None, "updated_at": changed["updated_at"]}
    changed = (await client.patch(path, {"external_id": None, "status": "closed"})).expect(200).json
    assert (changed["external_id"], changed["status"]) == (None, "closed")
    (await client.patch(path, {"status": None})).problem(422, "validation_failed")
    (await client.patch(path, {"user_id": "other"})).problem(422, "validation_failed")


async def test_a_closed_conversation_takes_no_messages(client: CheckedClient) -> None:
    conversation = await client.hire()
    path = f"/conversations/{conversation.id}"
    (await client.patch(path, {"status": "closed"})).expect(200)
    for body in ({"content": "Hi"}, {"content": "Hi", "respond": True}):
        (await client.post(f"{path}/messages", body)).problem(409, "conversation_closed")
    (await client.post(f"{path}/messages/stream", {"content": "Hi"})).problem(409, "conversation_closed")
    assert await client.messages(conversation.id) == []
    (await client.patch(path, {"status": "active"})).expect(200)
    assert (await client.ask(conversation.id, "Hi")).end["status"] == "completed"


async def test_a_deleted_conversation_takes_its_messages_with_it(client: CheckedClient) -> None:
    conversation = await client.hire()
    answer = await client.ask(conversation.id, "Hello")
    path = f"/conversations/{conversation.id}"
    (await client.delete(path)).expect(204)
    (await client.get(path)).problem(404, "not_found")
    (await client.get(f"{path}/messages")).problem(404, "not_found")
    (await client.patch(path, {"title": "x"})).problem(404, "not_found")
    (await client.delete(path)).problem(404, "not_found")
    (await client.post(f"{path}/messages", {"content": "Hi"})).problem(404, "not_found")
    (await client.post(f"{path}/messages/stream", {"content": "Hi"})).problem(404, "not_found")
    resumed = await client.call(
        "POST", f"{path}/messages/stream", {"content": "Hi"}, headers={"last-event-id": answer.frames[0].id or ""}
    )
    resumed.problem(404, "not_found")
    (await client.get(f"/employees/{conversation.employee_id}")).expect(200)


async def test_counts_and_times_follow_the_messages(client: CheckedClient) -> None:
    conversation = await client.hire()
    assert (conversation.message_count, conversation.last_message_at) == (0, None)
    (await client.post_message(conversation.id, "One")).expect(200)
    await client.ask(conversation.id, "Two")
    read = (await client.get(f"/conversations/{conversation.id}")).expect(200).json
    messages = await client.messages(conversation.id)
    assert read["message_count"] == len(messages) == 3
    assert read["last_message_at"] is not None
