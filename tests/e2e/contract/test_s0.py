"""The rows S0-1 … S0-16 of the reference contract: tenants, employees, conversations, streamed answers."""

from datetime import datetime
from hashlib import sha256
from uuid import UUID

import pytest

from tests.e2e.contract.checked import CheckedClient
from tests.e2e.contract.conftest import GOOD_KEY, Vendor
from tests.support.server import RetinueServer
from tests.support.upstream import ThreadedUpstream, says

pytestmark = pytest.mark.slow


async def test_s0_1_create_tenant(client: CheckedClient) -> None:
    body = {"name": "Test Tenant", "slug": f"test-tenant-{id(client):x}"}
    tenant = (await client.post("/tenants", body)).expect(201).json
    assert (tenant["name"], tenant["slug"]) == (body["name"], body["slug"])
    assert isinstance(tenant["id"], str)
    assert UUID(tenant["id"]).version == 7
    assert (await client.get(f"/tenants/{tenant['id']}")).expect(200).json == tenant


async def test_s0_2_configure_the_tenants_llm(client: CheckedClient) -> None:
    tenant = await client.create_tenant()
    body = {"llm_provider": "openai", "llm_api_key": "test-key-0123456789", "llm_model": "gpt-4"}
    config = (await client.put(f"/tenants/{tenant.id}/config", body)).expect(200).json
    assert config["llm_provider"] == "openai"
    assert config["llm_model"] == "gpt-4"
    assert config["llm_api_key"] == {"set": True, "last4": "6789"}
    assert (await client.get(f"/tenants/{tenant.id}/config")).expect(200).json == config


async def test_s0_3_create_employee(client: CheckedClient) -> None:
    tenant = await client.create_tenant()
    body = {"tenant_id": str(tenant.id), "name": "Test Bot", "role": "assistant", "system_prompt": "You are helpful."}
    employee = (await client.post("/employees", body)).expect(201).json
    assert UUID(employee["id"]).version == 7
    assert {name: employee[name] for name in body} == body


async def test_s0_4_create_conversation(client: CheckedClient) -> None:
    tenant = await client.create_tenant()
    employee = await client.create_employee(tenant.id)
    body = {
        "tenant_id": str(tenant.id),
        "employee_id": str(employee.id),
        "user_id": "test-user-123 / not a UUID",
        "title": "Test Conversation",
    }
    conversation = (await client.post("/conversations", body)).expect(201).json
    assert {name: conversation[name] for name in body} == body
    assert UUID(conversation["id"]).version == 7
    assert datetime.fromisoformat(conversation["created_at"]).tzinfo is not None
    del body["title"]
    assert (await client.post("/conversations", body)).expect(201).json["title"] is None


async def test_s0_5_list_the_conversations_of_a_tenant(client: CheckedClient) -> None:
    tenant, other = await client.create_tenant(), await client.create_tenant()
    employee, foreign = await client.create_employee(tenant.id), await client.create_employee(other.id)
    created = {(await client.create_conversation(tenant.id, employee.id, user_id=user)).id for user in ("u1", "u2")}
    await client.create_conversation(other.id, foreign.id)
    listed = (await client.get(f"/conversations?tenant_id={tenant.id}")).expect(200).json
    assert isinstance(listed, list)
    assert len(listed) == 2
    assert {UUID(each["id"]) for each in listed} == created


async def test_s0_6_read_a_conversation(client: CheckedClient) -> None:
    tenant = await client.create_tenant()
    employee = await client.create_employee(tenant.id)
    created = await client.create_conversation(tenant.id, employee.id, title="Grüße 🍵")
    read = (await client.get(f"/conversations/{created.id}")).expect(200).json
    assert (read["id"], read["title"]) == (str(created.id), "Grüße 🍵")


async def test_s0_7_delete_a_conversation(client: CheckedClient) -> None:
    conversation = await client.hire()
    gone = (await client.delete(f"/conversations/{conversation.id}")).expect(204)
    assert gone.body == b""
    (await client.get(f"/conversations/{conversation.id}")).problem(404, "not_found")


async def test_s0_8_append_a_message_without_an_answer(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    conversation = await vendor.hire(client)
    message = (await client.post_message(conversation.id, "Hello, world!")).expect(200).json
    assert UUID(message["id"]).version == 7
    assert message["conversation_id"] == str(conversation.id)
    assert (message["role"], message["content"]) == ("user", "Hello, world!")
    assert len(await client.messages(conversation.id)) == 1
    assert upstream.requests == []


async def test_s0_9_list_messages_oldest_first(client: CheckedClient) -> None:
    conversation = await client.hire()
    contents = [f"Message {number}" for number in range(20)]
    for content in contents:
        (await client.post_message(conversation.id, content)).expect(200)
    listed = (await client.get(f"/conversations/{conversation.id}/messages")).expect(200).json
    assert isinstance(listed, list)
    assert [message["content"] for message in listed] == contents
    assert [message["position"] for message in listed] == sorted({message["position"] for message in listed})


async def test_s0_10_the_bytes_of_a_streaming_answer(client: CheckedClient, vendor: Vendor) -> None:
    conversation = await vendor.hire(client)
    async with await client.stream(conversation.id, "Zwölf Grüße 🍵 на чай") as stream:
        assert stream.response.status == 200
        assert stream.response.header("content-type") == "text/event-stream; charset=utf-8"
        await client.read(conversation.id, stream)
        body = bytes(stream.response.body)
    assert b"\r" not in body
    data = [line for line in body.split(b"\n") if line.startswith(b"data:")]
    assert all(line.startswith(b"data: {") and line.endswith(b"}") for line in data)
    assert "Zwölf".encode() in body
    assert "🍵".encode() in body
    assert b"\\u" not in body


async def test_s0_11_events_and_their_order(client: CheckedClient, vendor: Vendor) -> None:
    conversation = await vendor.hire(client)
    async with await client.stream(conversation.id, "One two three") as stream:
        answer = await client.read(conversation.id, stream)
        body = bytes(stream.response.body)
    assert answer.types[0] == "message_start"
    assert answer.types[-1] == "message_end"
    assert set(answer.types[1:-1]) <= {"token", "runtime_status"}
    assert answer.types.count("token") > 1
    assert [frame.event for frame in answer.frames] == answer.types
    assert answer.end["status"] == "completed"
    # The fake counts `You said:` and each of the three words.
    assert answer.end["token_count"] == answer.end["usage"]["output_tokens"] == 4
    last = body.rstrip(b"\n").rpartition(b"data: ")[2]
    assert b"message_end" in last
    assert b"\n" not in last


async def test_s0_12_persistence_through_streaming(client: CheckedClient, vendor: Vendor) -> None:
    conversation = await vendor.hire(client)
    answer = await client.ask(conversation.id, "Remember me")
    question, reply = (await client.get(f"/conversations/{conversation.id}/messages")).expect(200).json
    assert (question["role"], question["content"]) == ("user", "Remember me")
    assert (reply["role"], reply["content"], reply["status"]) == ("assistant", answer.text, "completed")
    assert answer.text == "You said: Remember me"
    assert (question["id"], reply["id"]) == (answer.start["user_message_id"], answer.start["message_id"])
    assert answer.end["text_sha256"] == sha256(reply["content"].encode()).hexdigest()
    assert answer.end["event_count"] == int(answer.frames[-1].id.rpartition("-")[2])  # type: ignore[union-attr]


async def test_s0_13_the_provider_of_the_tenant_is_asked(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    """Pieces arrive as they were sent, single blanks among them."""
    upstream.enqueue(says("Hello", " ", "there", " ", "!"))
    conversation = await vendor.hire(client, "model-of-the-tenant")
    answer = await client.ask(conversation.id, "Hi")
    assert [token["content"] for token in answer.of("token")] == ["Hello", " ", "there", " ", "!"]
    [record] = upstream.requests
    assert record.body["model"] == "model-of-the-tenant"
    assert record.key == GOOD_KEY


async def test_s0_14_prompt_assembly(client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor) -> None:
    conversation = await vendor.hire(client, system_prompt="You are a test bot.")
    await client.ask(conversation.id, "First")
    (await client.post_message(conversation.id, "Unanswered")).expect(200)
    await client.ask(conversation.id, "Second")
    assert vendor.prompt(upstream.requests[-1]) == [
        ("system", "You are a test bot."),
        ("user", "First"),
        ("assistant", "You said: First"),
        ("user", "Unanswered"),
        ("user", "Second"),
    ]


async def test_s0_15_a_provider_without_network(client: CheckedClient) -> None:
    conversation = await client.hire("scripted", "scripted-echo")
    answer = await client.ask(conversation.id, "No network here")
    assert answer.text == "No network here"
    assert answer.end["metadata"]["scripted"] is True


async def test_s0_16_tenant_scoping(client: CheckedClient, retinue: RetinueServer) -> None:
    """Conversation routes need the conversation's id alone; lists need the tenant."""
    conversation = await client.hire()
    for path in ("", "/messages"):
        (await client.get(f"/conversations/{conversation.id}{path}")).expect(200)
    for resource in ("conversations", "employees"):
        problem = (await client.get(f"/{resource}")).problem(422, "validation_failed")
        assert problem["errors"] == [{"parameter": "tenant_id", "detail": "Required."}]
