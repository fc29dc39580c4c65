"""A closed socket is never a cancel."""

import asyncio

import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.streams.store import calls_of
from tests.e2e.streams.talk import connect, eventually, hire, more_conversations, request_bytes, settled
from tests.support.client import RetinueClient
from tests.support.server import RetinueServer
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

ROUNDS = 50
ANSWER = tokens(30)


async def test_an_answer_completes_without_its_reader(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    """Every other client goes with FIN, the rest with RST; the model has not gone on when all of them are gone."""
    first = await hire(client, upstream)
    conversations = [first, *await more_conversations(client, first, ROUNDS - 1)]
    upstream.enqueue(*[ANSWER.hold(1)] * ROUNDS)
    await asyncio.gather(*(_drop(client, one, reset=n % 2 == 1) for n, one in enumerate(conversations)))
    upstream.release()
    for conversation in conversations:
        question, answer = await settled(client, conversation.id)
        assert question.content == "Hello"
        assert (answer.content, answer.status.value) == (ANSWER.text, "completed")
        assert answer.run_id is not None
        [call] = await calls_of(retinue, answer.run_id)
        assert (call.outcome, call.is_closed, call.output_tokens) == ("completed", True, 30)
    assert not [record for record in upstream.requests if record.was_abandoned]


async def _drop(client: RetinueClient, conversation: Conversation, *, reset: bool) -> None:
    async with await client.stream(conversation.id, "Hello") as stream:
        await stream.until("token")
        await stream.disconnect(reset=reset)


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("is_streamed", [True, False], ids=["stream", "respond"])
async def test_a_client_that_never_read_a_byte(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream, is_streamed: bool, reset: bool
) -> None:
    conversation = await hire(client, upstream)
    upstream.enqueue(ANSWER.hold(0))
    path = f"/conversations/{conversation.id}/messages" + ("/stream" if is_streamed else "")
    body = {"content": "Hello"} | ({} if is_streamed else {"respond": True})
    async with await connect(retinue) as response:
        response._writer.write(request_bytes(retinue, path, body))
        await asyncio.to_thread(upstream.wait_for_request)
        await (response.reset() if reset else response.close())
    upstream.release()
    _, answer = await settled(client, conversation.id)
    assert (answer.content, answer.status.value) == (ANSWER.text, "completed")


@pytest.mark.parametrize("path", ["/messages/stream", "/messages"])
async def test_a_client_that_goes_at_once_leaves_all_or_nothing(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream, path: str
) -> None:
    """It closes right behind its request, so the request may or may not have been taken; a half one it never is."""
    conversation = await hire(client, upstream)
    body = {"content": "Hello"} | ({} if path.endswith("stream") else {"respond": True})
    for number in range(20):
        async with await connect(retinue) as response:
            response._writer.write(request_bytes(retinue, f"/conversations/{conversation.id}{path}", body))
            await response._writer.drain()
            await (response.reset() if number % 2 else response.close())
    answer = await eventually(lambda: _ask(client, conversation))
    assert answer.startswith("You said:")
    messages = await settled(client, conversation.id)  # a request may have been taken only now
    assert len(messages) % 2 == 0
    assert [message.position for message in messages] == list(range(1, len(messages) + 1))
    assert {message.status.value for message in messages} == {"completed"}
    assert [message.role.value for message in messages] == ["user", "assistant"] * (len(messages) // 2)


async def _ask(client: RetinueClient, conversation: Conversation) -> str | None:
    """The answer, unless an earlier request is still being answered."""
    answer = await client.post_message(conversation.id, "Last", respond=True)
    if answer.status == 409:
        answer.problem(409, "conversation_busy")
        return None
    text: str = answer.expect(200).json["message"]["content"]
    return text
