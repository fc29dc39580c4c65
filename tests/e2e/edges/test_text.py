"""NUL and halves of surrogate pairs through every boundary: both databases store and answer the same.

Each test runs on SQLite and on PostgreSQL, of which the second refuses what the first would take.
"""

import json
from typing import Any
from uuid import UUID

import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.contract.wire import exchange, parse
from tests.e2e.streams.talk import hire
from tests.support.client import RetinueClient
from tests.support.forking import ForkedServer
from tests.support.upstream import Chunk, Raw, Scenario, ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

GIVEN = "a\x00b\ud800c\udfffd\U0001f37f"
KEPT = "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c\N{REPLACEMENT CHARACTER}d\U0001f37f"
PAIR = "\U0001f37f"


async def send(client: RetinueClient, method: str, path: str, body: object, status: int = 200) -> Any:
    """Python's JSON writes the escapes that ours refuses to make."""
    return (await client.call(method, path, raw=json.dumps(body).encode())).expect(status).json


def chunk(delta: dict[str, Any], finish: str | None = None) -> Raw:
    """A piece of an OpenAI-compatible stream with whatever text in it."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": GIVEN, "object": "chat.completion.chunk", "created": 1, "model": GIVEN, "choices": [choice]}
    return Raw(text=f"data: {json.dumps(body)}\n\n")


async def test_bodies(client: RetinueClient) -> None:
    tenant = await send(client, "POST", "/tenants", {"name": GIVEN, "slug": f"t-{id(client):x}"}, 201)
    assert tenant["name"] == KEPT
    employee = await send(
        client,
        "POST",
        "/employees",
        {
            "tenant_id": tenant["id"],
            "name": GIVEN,
            "role": GIVEN,
            "system_prompt": GIVEN,
            "persona": {"tone": GIVEN},
            "labels": [GIVEN],
            "model_settings": {"model": GIVEN},
        },
        201,
    )
    for read in (employee, (await client.get(f"/employees/{employee['id']}")).expect(200).json):
        assert {read["name"], read["role"], read["system_prompt"], read["persona"]["tone"], *read["labels"]} == {KEPT}
        assert read["model_settings"]["model"] == KEPT
    made = {"tenant_id": tenant["id"], "employee_id": employee["id"], "user_id": GIVEN, "title": GIVEN}
    conversation = await send(client, "POST", "/conversations", {**made, "external_id": GIVEN}, 201)
    assert {conversation[name] for name in ("user_id", "title", "external_id")} == {KEPT}
    message = await send(client, "POST", f"/conversations/{conversation['id']}/messages", {"content": GIVEN})
    assert [found.content for found in await client.messages(UUID(conversation["id"]))] == [KEPT]
    assert message["content"] == KEPT


async def test_queries_and_paths(client: RetinueClient) -> None:
    """A filter finds what it names, as it is stored."""
    first = await client.hire()
    tenant, employee = first.tenant_id, first.employee_id
    made = {"tenant_id": str(tenant), "employee_id": str(employee), "user_id": "u\x00v"}
    conversation = await send(client, "POST", "/conversations", made, 201)
    for spelled in ("u%00v", "u%EF%BF%BDv"):
        found = (await client.get(f"/conversations?tenant_id={tenant}&user_id={spelled}")).expect(200).json
        assert [one["id"] for one in found] == [conversation["id"]], spelled
    for spelled in ("u%ED%A0%80v", "u%FFv%00", "%00" * 200):
        answer = await client.get(f"/conversations?tenant_id={tenant}&user_id={spelled}")
        assert answer.expect(200).json == []
    for path in ("/conversations/%00", f"/conversations/{conversation['id']}%00", "/tenants/%ED%A0%80"):
        (await client.get(path)).problem(404, "not_found")
    (await client.get(f"/audit?tenant_id={tenant}&action=a%00b")).expect(200)


@pytest.mark.parametrize("name", ["Idempotency-Key", "Last-Event-ID", "X-Request-ID", "X-API-Key", "User-Agent"])
def test_headers(retinue: ForkedServer, name: str) -> None:
    """A NUL never gets in, nor do other control characters; bytes beyond ASCII do no harm."""
    for value, statuses in ((b"a\x00b", {400}), (b"a\x1fb", {400}), (b"a\xed\xa0\x80\xffb", {201, 401, 404, 422})):
        body = json.dumps({"name": "A", "slug": f"x-{name.lower()}"}).encode()
        head = b"POST /api/v1/tenants HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n"
        key = b"" if name == "X-API-Key" else b"X-API-Key: %b\r\n" % (retinue.key or "").encode()
        data = head + key + b"%b: %b\r\nContent-Length: %d\r\n\r\n" % (name.encode(), value, len(body)) + body
        [answer] = parse(exchange(retinue.address, data))
        assert answer.status in statuses, (value, answer)
    assert "Traceback" not in retinue.output


async def ask(client: RetinueClient, conversation: Conversation) -> dict[str, Any]:
    """The end of an answer and what is stored of it, which must agree."""
    answer = await client.ask(conversation.id, "Hello")
    stored = (await client.messages(conversation.id))[-1]
    assert answer.text == stored.content
    assert answer.reasoning == (stored.reasoning or "")
    return {"text": stored.content, "reasoning": stored.reasoning, "end": answer.end}


async def test_what_a_provider_says(client: RetinueClient, upstream: ThreadedUpstream) -> None:
    conversation = await hire(client, upstream)
    upstream.enqueue(
        Scenario(
            pieces=(
                chunk({"role": "assistant", "reasoning_content": GIVEN}),
                chunk({"content": GIVEN}),
                chunk({"content": "\ud83c"}),
                chunk({"content": "\udf7f" + PAIR}),
            )
        )
    )
    told = await ask(client, conversation)
    assert (told["text"], told["reasoning"]) == (KEPT + PAIR * 2, KEPT)
    upstream.enqueue(Scenario(pieces=(chunk({"content": "x"}, GIVEN),), finish=None))
    assert (await ask(client, conversation))["end"]["status"] in {"completed", "failed"}


async def test_what_a_model_calls(client: RetinueClient, upstream: ThreadedUpstream) -> None:
    """A name, an id and arguments that no database should see; the answer to them is in the log of the tools."""
    tenant = await client.create_tenant()
    await client.configure(
        tenant.id, "openai", "echo", llm_base_url=upstream.openai_url, llm_api_key="a-key-of-the-test"
    )
    clerk = await client.create_employee(tenant.id, permission="write", tools=["calculate"])
    conversation = await client.create_conversation(tenant.id, clerk.id)
    for name, arguments in (
        (GIVEN, "{}"),
        ("calculate", json.dumps({"expression": GIVEN})),
        ("calculate", json.dumps({GIVEN: {GIVEN: [GIVEN]}})),
        ("calculate", GIVEN),
    ):
        function = {"name": name, "arguments": arguments}
        call = {"index": 0, "id": f"c{GIVEN}", "type": "function", "function": function}
        upstream.enqueue(Scenario(pieces=(chunk({"tool_calls": [call]}, "tool_calls"),), finish=None))
        upstream.enqueue(tokens(1))
        told = await ask(client, conversation)
        [entry] = told["end"]["tool_log"]
        assert entry["error"], entry
        assert not set("\x00\ud800\udfff") & set(str(entry)), entry
        run = told["end"]["run_id"]
        events = (await client.get(f"/runs/{run}/events")).expect(200)
        assert not set("\x00\ud800\udfff") & set(str(events.json)), events.body


async def test_what_a_provider_reports(client: RetinueClient, upstream: ThreadedUpstream) -> None:
    conversation = await hire(client, upstream)
    error = {"error": {"message": GIVEN, "type": GIVEN, "code": GIVEN}}
    upstream.enqueue(Scenario(status=400, body=json.dumps(error)))
    answer = await client.ask(conversation.id, "Hello")
    assert answer.end["status"] == "failed"
    upstream.enqueue(Scenario(pieces=(Chunk({"choices": []}), Raw(text=f"data: {json.dumps(error)}\n\n"))))
    answer = await client.ask(conversation.id, "Hello")
    assert not set("\x00\ud800\udfff") & set(str(answer.end))
