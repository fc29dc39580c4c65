"""What happens at the same time ends as if it had happened one after the other."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.streams.store import are_gone, calls_of, rows
from tests.e2e.streams.talk import (
    after_tokens,
    check_stream,
    eventually,
    hire,
    more_conversations,
    open_stream,
    problem,
    settled,
)
from tests.support import http1
from tests.support.client import RetinueClient
from tests.support.server import RetinueServer
from tests.support.sse import EventStream
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow


async def test_twenty_posts_at_once_to_one_conversation(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    conversation = await hire(client, upstream)
    upstream.enqueue(tokens(3).hold(1))
    responses = await asyncio.gather(*(open_stream(client, conversation.id, f"Post {n}") for n in range(20)))
    [winner] = [response for response in responses if response.status == 200]
    for loser in (response for response in responses if response is not winner):
        document = await problem(loser, 409, "conversation_busy")
        assert "Post" not in document["detail"]
        await loser.close()
    upstream.release()
    async with EventStream(winner) as stream:
        answer = check_stream(await stream.rest())
    assert answer.text == tokens(3).text
    assert len(upstream.requests) == 1
    again = await client.ask(conversation.id, "Again")
    assert again.end["status"] == "completed"
    messages = await client.messages(conversation.id)
    assert [message.position for message in messages] == [1, 2, 3, 4]
    assert messages[0].content.startswith("Post ")


async def test_posts_that_ask_for_no_answer_take_their_turn(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    conversation = await hire(client, upstream)
    answers = await asyncio.gather(*(client.post_message(conversation.id, f"Post {n}") for n in range(20)))
    assert {answer.status for answer in answers} == {200}
    messages = await client.messages(conversation.id)
    assert [message.position for message in messages] == list(range(1, 21))
    assert {message.content for message in messages} == {f"Post {n}" for n in range(20)}


async def test_answers_of_other_conversations_do_not_wait(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    """The provider answers nobody before all twenty have asked it."""
    first = await hire(client, upstream)
    conversations = [first, *await more_conversations(client, first, 19)]
    upstream.enqueue(*[tokens(3).hold(0)] * 20)
    asking = asyncio.gather(*(client.ask(one.id, "Hello") for one in conversations))
    await asyncio.to_thread(upstream.wait_for_request, 19, within=30)
    upstream.release()
    answers = await asking
    assert {answer.text for answer in answers} == {tokens(3).text}
    assert len({answer.start["run_id"] for answer in answers}) == 20


async def _held(client: RetinueClient, upstream: ThreadedUpstream) -> AsyncIterator[tuple[Conversation, EventStream]]:
    conversation = await hire(client, upstream)
    upstream.enqueue(tokens(6).hold(3))
    async with await client.stream(conversation.id, "Hello") as stream:
        await after_tokens(stream, 3)
        yield conversation, stream


@pytest.fixture
async def held(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> AsyncIterator[tuple[Conversation, EventStream]]:
    """A conversation whose answer stands still after three tokens, and its stream."""
    async for pair in _held(client, upstream):
        yield pair


async def _ends_honestly(stream: EventStream) -> UUID:
    """The stream ends as cancelled, or is broken off; never as if the answer were complete. Returns the run's id."""
    async with asyncio.timeout(20):
        rest = await stream.to_any_end()
    ending: http1.Ending = stream.response.ending
    if ending == "complete":
        stream.check_end()
        assert rest[-1].event == "message_end"
        assert rest[-1].json["status"] == "cancelled"
    else:
        assert ending == "cut"
        assert all(frame.event != "message_end" for frame in rest)
    return UUID(stream.seen[0].json["run_id"])


async def test_a_conversation_is_deleted_while_its_answer_streams(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream, held: tuple[Conversation, EventStream]
) -> None:
    conversation, stream = held
    (await client.delete(f"/conversations/{conversation.id}")).expect(204)
    run = await _ends_honestly(stream)
    await asyncio.to_thread(upstream.wait_for_close)
    (await client.get(f"/conversations/{conversation.id}")).problem(404, "not_found")
    (await client.get(f"/conversations/{conversation.id}/messages")).problem(404, "not_found")
    (await client.post_message(conversation.id, "Hello?")).problem(404, "not_found")
    async with await open_stream(client, conversation.id, last_event_id=f"{run}:1-1") as response:
        await problem(response, 404, "not_found")
    [call] = await calls_of(retinue, run)
    assert (call.outcome, call.is_closed) == ("aborted", True)
    assert call.output_tokens
    for table in ("messages", "runs"):
        assert not await rows(retinue, f"SELECT id FROM {table} WHERE conversation_id = {{}}", conversation.id)
    assert not await rows(retinue, "SELECT last_seq FROM run_events WHERE run_id = {}", run)


async def test_a_tenant_is_deleted_while_an_answer_streams(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream, held: tuple[Conversation, EventStream]
) -> None:
    conversation, stream = held
    (await client.delete(f"/tenants/{conversation.tenant_id}")).expect(204)
    await _ends_honestly(stream)
    await asyncio.to_thread(upstream.wait_for_close)
    (await client.get(f"/tenants/{conversation.tenant_id}")).problem(404, "not_found")
    (await client.get(f"/conversations/{conversation.id}")).problem(404, "not_found")
    tables = ("conversations", "messages", "runs", "ledger", "run_events", "employees")
    await eventually(lambda: are_gone(retinue, conversation.tenant_id, *tables))


async def test_a_conversation_is_deleted_while_it_is_posted_to(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    """Whoever comes first: the conversation is gone, no run is left, and nobody is told a lie."""
    first = await hire(client, upstream)
    for conversation in [first, *await more_conversations(client, first, 9)]:
        response, deleted = await asyncio.gather(
            open_stream(client, conversation.id), client.delete(f"/conversations/{conversation.id}")
        )
        deleted.expect(204)
        if response.status == 404:
            await problem(response, 404, "not_found")
        else:
            async with EventStream(response) as stream:
                frames = await stream.to_any_end()
            if stream.response.ending == "complete":
                assert check_stream(frames).end["status"] in {"completed", "cancelled"}
        await response.close()
        assert not await rows(retinue, "SELECT id FROM runs WHERE conversation_id = {}", conversation.id)
    open_calls = "SELECT id FROM ledger WHERE tenant_id = {} AND closed_at IS NULL"
    assert not await rows(retinue, open_calls, first.tenant_id)


async def test_the_next_message_may_follow_the_end_at_once(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    """The end event follows the commit: who has read it never meets a busy conversation."""
    conversation = await hire(client, upstream)
    for number in range(15):
        async with await client.stream(conversation.id, f"Turn {number}") as stream:
            await stream.until("message_end")
    messages = await settled(client, conversation.id)
    assert [message.content for message in messages[1::2]] == [f"You said: Turn {n}" for n in range(15)]
