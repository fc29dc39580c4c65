"""Answers that do not stream, answers that fail, and what keeps an answer from beginning."""

import asyncio
from typing import Any

import pytest

from tests.e2e.contract.checked import CheckedClient
from tests.e2e.contract.conftest import Vendor
from tests.support.upstream import Hold, Scenario, Text, ThreadedUpstream, says

pytestmark = pytest.mark.slow

HELD = Scenario(pieces=(Text("One"), Hold(), Text(" two")))


async def test_respond_answers_without_a_stream(client: CheckedClient, vendor: Vendor) -> None:
    conversation = await vendor.hire(client)
    answer = (await client.post_message(conversation.id, "Hello", respond=True)).expect(200).json
    assert answer["message"]["content"] == "You said: Hello"
    assert (answer["status"], answer["finish_reason"]) == ("completed", "stop")
    assert answer["usage"]["output_tokens"] == 2
    assert answer["tool_log"] == []
    question, reply = (await client.get(f"/conversations/{conversation.id}/messages")).json
    assert (question["id"], question["content"]) == (answer["user_message_id"], "Hello")
    assert reply == answer["message"]
    assert reply["usage"] == answer["usage"]


async def test_a_tenant_without_a_provider_cannot_answer(client: CheckedClient) -> None:
    tenant = await client.create_tenant()
    employee = await client.create_employee(tenant.id)
    conversation = await client.create_conversation(tenant.id, employee.id)
    path = f"/conversations/{conversation.id}/messages"
    (await client.post(f"{path}/stream", {"content": "Hi"})).problem(409, "provider_not_configured")
    (await client.post(path, {"content": "Hi", "respond": True})).problem(409, "provider_not_configured")
    assert await client.messages(conversation.id) == []
    (await client.post(path, {"content": "Stored all the same"})).expect(200)
    assert len(await client.messages(conversation.id)) == 1


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("refuse-key", 502, "provider_auth"),
        ("no-quota", 502, "provider_refused"),
        ("too-long", 502, "provider_refused"),
        ("html", 502, "provider_protocol"),
        ("no-finish", 502, "provider_truncated"),
        ("error-after-3", 503, "provider_overloaded"),
        ("cut-after-5", 502, "provider_reset"),
    ],
)
async def test_a_failed_answer_is_a_problem_and_keeps_both_messages(
    client: CheckedClient, vendor: Vendor, model: str, status: int, code: str
) -> None:
    conversation = await vendor.hire(client, model)
    failed = await client.post_message(conversation.id, "Hi", respond=True)
    failed.problem(status, code)
    assert b"upstream secret detail" not in failed.body
    question, reply = await client.messages(conversation.id)
    assert question.content == "Hi"
    assert (reply.status, reply.error_code) == ("failed", code)


@pytest.mark.parametrize("model", ["refuse-key", "html", "error-after-3", "cut-after-5", "garbage"])
async def test_a_failed_stream_says_so_and_ends_once(client: CheckedClient, vendor: Vendor, model: str) -> None:
    conversation = await vendor.hire(client, model)
    answer = await client.ask(conversation.id, "Hi")
    assert answer.types[0] == "message_start"
    assert answer.types[-2:] == ["message_error", "message_end"]
    assert answer.types.count("message_end") == answer.types.count("message_error") == 1
    assert answer.end["status"] == "failed"
    assert all(b"upstream secret detail" not in frame.raw for frame in answer.frames)
    question, reply = await client.messages(conversation.id)
    assert question.content == "Hi"
    assert (reply.content, reply.status) == (answer.text, "failed")
    [error] = answer.of("message_error")
    assert reply.error_code == error["code"]
    assert (await client.ask(conversation.id, "Again", protocol="events")).frames, "the conversation goes on"


async def test_while_an_answer_is_written_the_conversation_is_busy(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    upstream.enqueue(HELD)
    conversation = await vendor.hire(client)
    path = f"/conversations/{conversation.id}/messages"
    async with await client.stream(conversation.id, "Hi") as stream:
        run = (await anext(stream)).json["run_id"]
        await stream.until("token")
        for answer in (
            await client.post(f"{path}/stream", {"content": "Me too"}),
            await client.post(path, {"content": "Me too", "respond": True}),
            await client.post(path, {"content": "Me too"}),
        ):
            assert run in answer.problem(409, "conversation_busy")["detail"]
        assert [message.status for message in await client.messages(conversation.id)] == ["completed", "streaming"]
        upstream.release()
        end = (await client.read(conversation.id, stream)).end
    assert end["status"] == "completed"
    assert len(await client.messages(conversation.id)) == 2
    (await client.post(path, {"content": "Now"})).expect(200)


async def test_an_employee_takes_no_more_than_its_share(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    upstream.enqueue(HELD)
    first = await vendor.hire(client, max_concurrent_tasks=1)
    second = await client.create_conversation(first.tenant_id, first.employee_id)
    async with await client.stream(first.id, "Hi") as stream:
        await stream.until("token")
        refused = await client.post(f"/conversations/{second.id}/messages/stream", {"content": "Me too"})
        refused.problem(409, "employee_busy")
        assert await client.messages(second.id) == []
        upstream.release()
        await client.read(first.id, stream)
    assert (await client.ask(second.id, "Now")).end["status"] == "completed"


async def test_of_many_at_once_exactly_one_is_answered(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    upstream.enqueue(HELD)
    conversation = await vendor.hire(client)
    body = {"content": "Hi", "respond": True}
    calls = [asyncio.create_task(client.post(f"/conversations/{conversation.id}/messages", body)) for _ in range(8)]
    refused: set[asyncio.Task[Any]] = set()
    while len(refused) < 7:
        done, _ = await asyncio.wait(set(calls) - refused, return_when=asyncio.FIRST_COMPLETED, timeout=20)
        assert done, "the others are refused at once"
        refused |= done
    upstream.release()
    answers = await asyncio.gather(*calls)
    assert sorted(answer.status for answer in answers) == [200] + [409] * 7
    assert len(await client.messages(conversation.id)) == 2


async def test_deleting_ends_an_answer_in_the_making(
    client: CheckedClient, upstream: ThreadedUpstream, vendor: Vendor
) -> None:
    upstream.enqueue(HELD)
    conversation = await vendor.hire(client)
    async with await client.stream(conversation.id, "Hi") as stream:
        await stream.until("token")
        (await client.delete(f"/conversations/{conversation.id}")).expect(204)
        end = (await client.read(conversation.id, stream)).end
    assert end["status"] == "cancelled"
    upstream.wait_for_close()
    (await client.get(f"/conversations/{conversation.id}")).problem(404, "not_found")


async def test_the_canonical_protocol_carries_the_same_text(client: CheckedClient, vendor: Vendor) -> None:
    conversation = await vendor.hire(client)
    answer = await client.ask(conversation.id, "Zwölf 🍵", protocol="events")
    events = [frame.json for frame in answer.frames]
    assert events[0]["type"] == "run.started"
    assert events[-1]["type"] == "run.completed"
    assert "".join(event["delta"] for event in events if event["type"] == "text.delta") == "You said: Zwölf 🍵"
    assert [frame.id for frame in answer.frames] == [event["id"] for event in events]
    assert [int(event["id"].rpartition("-")[2]) for event in events] == list(range(1, len(events) + 1))


async def test_an_unknown_protocol_is_refused_before_anything_is_stored(client: CheckedClient) -> None:
    conversation = await client.hire()
    path = f"/conversations/{conversation.id}/messages/stream?protocol=nonsense"
    problem = (await client.post(path, {"content": "Hi"})).problem(422, "unknown_protocol")
    assert [error["parameter"] for error in problem["errors"]] == ["protocol"]
    assert await client.messages(conversation.id) == []


async def test_a_stream_resumes_after_any_event_without_starting_a_run(client: CheckedClient, vendor: Vendor) -> None:
    conversation = await vendor.hire(client)
    whole = await client.ask(conversation.id, "One two")
    path = f"/conversations/{conversation.id}/messages/stream"
    for place, frame in enumerate(whole.frames[:-1]):
        headers = {"last-event-id": frame.id or ""}
        resumed = await client.call("POST", path, {"content": "One two"}, headers=headers)
        assert resumed.expect(200).body == b"".join(each.raw for each in whole.frames[place + 1 :])
    assert len(await client.messages(conversation.id)) == 2


@pytest.mark.parametrize("given", ["x", "1-1", "01928f6e-0000-7000-8000-00000000dead:1-1", ":", "\xff", "null"])
async def test_a_last_event_id_that_names_no_run_starts_none(client: CheckedClient, given: str) -> None:
    conversation = await client.hire()
    path = f"/conversations/{conversation.id}/messages/stream"
    answer = await client.call("POST", path, {"content": "Hi"}, headers={"last-event-id": given})
    assert answer.status in {404, 422}, answer
    assert await client.messages(conversation.id) == []


async def test_content_has_a_greatest_length(client: CheckedClient, upstream: ThreadedUpstream) -> None:
    conversation = await client.hire()
    upstream.enqueue(says("unused"))
    upstream.reset()
    (await client.post_message(conversation.id, "🍵" * 10_000)).expect(200)
    for path in ("messages", "messages/stream"):
        answer = await client.post(f"/conversations/{conversation.id}/{path}", {"content": "a" * 10_001})
        problem = answer.problem(422, "validation_failed")
        assert [error["pointer"] for error in problem["errors"]] == ["/content"]
