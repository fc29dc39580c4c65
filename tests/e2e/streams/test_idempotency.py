"""A client that does not know whether its request arrived sends it again, with the same key, to any replica."""

import asyncio
from typing import Any

import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.streams.runs import bare, cancel, run_id, runs_of
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.talk import (
    after_tokens,
    begin,
    check_stream,
    connect,
    hire,
    more_conversations,
    open_stream,
    problem,
    request_bytes,
)
from tests.support.client import Answer, RetinueClient
from tests.support.server import RetinueServer
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

ANSWER = tokens(6)
KEY = "6f0c-key"


async def _post(client: RetinueClient, path: str, body: object, key: str = KEY) -> Answer:
    return await client.call("POST", path, body, headers={"idempotency-key": key})


async def _lose_response(
    server: RetinueServer, path: str, body: dict[str, Any], upstream: ThreadedUpstream, *, reset: bool
) -> None:
    """The request arrives and acts; not one byte of its response does."""
    async with await connect(server) as response:
        response._writer.write(request_bytes(server, path, body, {"idempotency-key": KEY}))
        await asyncio.to_thread(upstream.wait_for_request)
        await (response.reset() if reset else response.close())


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
async def test_a_stream_whose_response_was_lost(world: Replicas, upstream: ThreadedUpstream, reset: bool) -> None:
    """Sent again while the answer is written and after its end, here and there, in either protocol: the same run."""
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(ANSWER.hold(3))
    path = f"/conversations/{conversation.id}/messages/stream"
    await _lose_response(world.here, path, {"content": "Hello"}, upstream, reset=reset)
    async with (
        await begin(there, conversation.id, key=KEY) as again,
        await begin(here, conversation.id, key=KEY, protocol="events") as other,
        await open_stream(here, conversation.id, "Something else") as busy,
    ):
        await after_tokens(again, 3)
        await problem(busy, 409, "conversation_busy")
        upstream.release()
        await again.rest()
        await other.rest()
    answer = check_stream(again.seen)
    assert (answer.end["status"], answer.text) == ("completed", ANSWER.text)
    for client in (here, there):
        async with await begin(client, conversation.id, key=KEY) as later:
            assert bare(await later.rest()) == bare(again.seen)
        async with await begin(client, conversation.id, key=KEY, last_event_id=again.seen[2].id) as place:
            assert bare(await place.rest()) == bare(again.seen[3:])
    assert {run_id(frame) for frame in other.seen} == {answer.start["run_id"]}
    assert [message.content for message in await there.messages(conversation.id)] == ["Hello", ANSWER.text]
    assert len(upstream.requests) == 1


async def test_an_answer_whose_response_was_lost(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(ANSWER.hold(3))
    path, body = f"/conversations/{conversation.id}/messages", {"content": "Hello", "respond": True}
    await _lose_response(world.here, path, body, upstream, reset=True)
    again = [asyncio.create_task(_post(client, path, body)) for client in (here, there) for _ in range(3)]
    upstream.release()
    answers = [(await task).expect(200).json for task in again]
    assert answers[0]["message"]["content"] == ANSWER.text
    assert all(answer == answers[0] for answer in answers)
    assert (await _post(there, path, body)).expect(200).json == answers[0]
    assert len(await runs_of(there, conversation.id)) == len(upstream.requests) == 1


async def test_messages_that_ask_for_no_answer(world: Replicas, upstream: ThreadedUpstream) -> None:
    """Twenty at once with one key on both replicas are one message; the same key elsewhere is another."""
    clients = [server.client() for server in world]
    conversation = await hire(clients[0], upstream)
    [sibling] = await more_conversations(clients[0], conversation, 1)
    path, body = f"/conversations/{conversation.id}/messages", {"content": "Noted"}
    answers = await asyncio.gather(*(_post(clients[n % 2], path, body) for n in range(20)))
    assert {answer.expect(200).body for answer in answers} == {answers[0].body}
    [message] = await clients[1].messages(conversation.id)
    assert str(message.id) == answers[0].json["id"]
    elsewhere = await _post(clients[1], f"/conversations/{sibling.id}/messages", body)
    assert elsewhere.expect(200).json["id"] != answers[0].json["id"]
    (await _post(clients[0], path, {"content": "Other"})).problem(422, "idempotency_key_reused")
    async with await begin(clients[0], conversation.id, key=KEY) as stream:
        assert check_stream(await stream.rest()).text == "You said: Hello", "the route belongs to the key"
    assert len(await clients[0].messages(conversation.id)) == 3


@pytest.mark.parametrize("policy", ["enqueue", "append", "interrupt"])
async def test_a_busy_conversation_takes_it_once(world: Replicas, upstream: ThreadedUpstream, policy: str) -> None:
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(ANSWER.hold(3))
    async with await begin(here, conversation.id, "First") as first:
        await after_tokens(first, 3)
        posts = [begin((here, there)[n % 2], conversation.id, "Second", on_busy=policy, key=KEY) for n in range(6)]
        streams = await asyncio.gather(*posts)
        upstream.release()
        await first.rest()
        tails = [bare(await stream.rest()) for stream in streams]
        for stream in streams:
            await stream.disconnect()
    assert all(tail == tails[0] for tail in tails)
    messages = await there.messages(conversation.id)
    assert [message.content for message in messages].count("Second") == 1
    assert len(messages) == (3 if policy == "append" else 4)
    assert tails[0][-1].json["status"] == "completed"
    expected = f"{ANSWER.text}\n\nYou said: Second" if policy == "append" else "You said: Second"
    assert messages[-1].content == expected


async def test_what_was_refused_may_be_tried_again(world: Replicas, upstream: ThreadedUpstream) -> None:
    """Only what has acted is remembered; and what was cancelled has acted."""
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(ANSWER.hold(3))
    async with await begin(here, conversation.id, "First") as first:
        await after_tokens(first, 3)
        for client in (here, there):
            async with await open_stream(client, conversation.id, "Second", key=KEY) as refused:
                await problem(refused, 409, "conversation_busy")
        (await cancel(there, run_id(first.seen[0]))).expect(200)
        await first.rest()
    async with await begin(there, conversation.id, "Second", key=KEY) as second:
        answer = check_stream(await second.rest())
    assert answer.text == "You said: Second"
    async with await open_stream(here, conversation.id, "Third", key=KEY) as reused:
        document = await problem(reused, 422, "idempotency_key_reused")
    assert "Second" not in document["detail"]
    assert len(await runs_of(here, conversation.id)) == 2


async def test_a_key_dies_with_its_conversation(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation: Conversation = await hire(here, upstream)
    async with await begin(here, conversation.id, key=KEY) as stream:
        await stream.rest()
    (await there.delete(f"/conversations/{conversation.id}")).expect(204)
    for client in (here, there):
        async with await open_stream(client, conversation.id, key=KEY) as response:
            await problem(response, 404, "not_found")
