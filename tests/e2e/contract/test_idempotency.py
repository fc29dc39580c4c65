"""A request that is sent twice acts once, through a real server."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from tests.e2e.contract.checked import CheckedClient
from tests.e2e.contract.conftest import Vendor
from tests.support.client import Answer
from tests.support.sse import EventStream
from tests.support.upstream import ThreadedUpstream, says

pytestmark = pytest.mark.slow

KEY = {"idempotency-key": "k-1"}


async def post(client: CheckedClient, path: str, body: object, key: str = "k-1") -> Answer:
    return await client.call("POST", path, body, headers={"idempotency-key": key})


async def stream(client: CheckedClient, conversation: UUID, body: object, query: str = "") -> EventStream:
    path = f"/conversations/{conversation}/messages/stream{query}"
    response = await client._open("POST", path, body, None, KEY)
    assert response.status == 200, await response.read()
    return EventStream(response)


async def test_the_same_stream_is_told_again(client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor) -> None:
    conversation = await vendor.hire(client)
    body = {"content": "Hi"}
    told = []
    for _ in range(3):
        async with await stream(client, conversation.id, body) as answer:
            told.append([frame.raw for frame in await answer.rest()])
    assert told[0] == told[1] == told[2]
    async with await stream(client, conversation.id, body, "?protocol=events") as other:
        assert [frame.id for frame in await other.rest()][-1] is not None
    assert len(upstream.requests) == 1
    assert len(await client.messages(conversation.id)) == 2
    reused = await post(client, f"/conversations/{conversation.id}/messages/stream", {"content": "Ho"})
    reused.problem(422, "idempotency_key_reused")


async def test_many_equal_posts_at_once_are_one_turn(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    upstream.enqueue(says("Once"))
    conversation = await vendor.hire(client)
    path, body = f"/conversations/{conversation.id}/messages", {"content": "Hi", "respond": True}
    answers = await asyncio.gather(*(post(client, path, body) for _ in range(10)))
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body for answer in answers}) == 1
    assert answers[0].json["message"]["content"] == "Once"
    assert len(upstream.requests) == 1
    assert len(await client.messages(conversation.id)) == 2


async def test_a_stored_message_is_stored_once(client: CheckedClient) -> None:
    conversation = await client.hire()
    path = f"/conversations/{conversation.id}/messages"
    first, again = [(await post(client, path, {"content": "Hi"})).expect(200) for _ in range(2)]
    assert first.body == again.body
    (await post(client, path, {"content": "Ho"})).problem(422, "idempotency_key_reused")
    (await post(client, path, {"content": "Hi"}, key="k-2")).expect(200)
    assert len(await client.messages(conversation.id)) == 2


async def test_a_failed_answer_is_the_same_failure_again(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    conversation = await vendor.hire(client, "refuse-key")
    path, body = f"/conversations/{conversation.id}/messages", {"content": "Hi", "respond": True}
    problems = [(await post(client, path, body)).problem(502, "provider_auth") for _ in range(2)]
    assert problems[0] == problems[1]
    assert len(upstream.requests) == 1


async def test_what_could_not_begin_may_be_tried_again_with_its_key(client: CheckedClient) -> None:
    tenant = await client.create_tenant()
    employee = await client.create_employee(tenant.id)
    conversation = await client.create_conversation(tenant.id, employee.id)
    path, body = f"/conversations/{conversation.id}/messages", {"content": "Hi", "respond": True}
    (await post(client, path, body)).problem(409, "provider_not_configured")
    await client.configure(tenant.id)
    assert (await post(client, path, body)).expect(200).json["status"] == "completed"


async def test_creations_and_checks_are_repeated_without_effect(client: CheckedClient) -> None:
    conversation = await client.hire()
    tenant, employee = str(conversation.tenant_id), str(conversation.employee_id)
    posts: list[tuple[str, dict[str, Any] | None]] = [
        ("/tenants", {"name": "T", "slug": f"t-{tenant}"}),
        ("/employees", {"tenant_id": tenant, "name": "Ada", "role": "assistant", "system_prompt": "Help."}),
        ("/conversations", {"tenant_id": tenant, "employee_id": employee, "user_id": "u"}),
        (f"/tenants/{tenant}/config/check", None),
    ]
    for path, body in posts:
        first, again = [await post(client, path, body, key=tenant) for _ in range(2)]
        assert first.status in {200, 201}
        assert (again.status, again.body) == (first.status, first.body)
        assert first.header("idempotency-replayed") is None
        assert again.header("idempotency-replayed") == "true"
