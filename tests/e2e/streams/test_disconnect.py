"""A closed socket is never a cancel, unless the request said so."""

import asyncio

import pytest

from retinue.domain.conversations import Conversation
from retinue.domain.runs import Run
from tests.e2e.streams.runs import PROTOCOLS, check_proof, follow, run_id, run_of, runs_of
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.store import calls_of
from tests.e2e.streams.talk import (
    after_tokens,
    begin,
    check_stream,
    connect,
    eventually,
    hire,
    more_conversations,
    request_bytes,
    resume,
    settled,
)
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


async def _cancelled(client: RetinueClient, conversation: Conversation) -> Run:
    """The conversation's only run, as soon as it is over, which must be because it was cancelled."""

    async def probe() -> Run | None:
        [run] = await runs_of(client, conversation.id)
        return run if run.finished_at else None

    run = await eventually(probe, within=10)
    assert (run.status.value, run.finish_reason) == ("cancelled", "cancelled")
    assert run.receipt is not None
    assert run.receipt.socket_closed_at is not None
    return run


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
async def test_a_stream_that_takes_its_run_with_it(world: Replicas, upstream: ThreadedUpstream, reset: bool) -> None:
    """Whoever else follows is told; what was said is kept, and what it cost is booked."""
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(6).hold(3))
    async with await begin(here, conversation.id, on_disconnect="cancel") as stream:
        await after_tokens(stream, 3)
        path = f"/runs/{run_id(stream.seen[0])}/stream"
        others = [await follow(there, path, protocol=protocol) for protocol in PROTOCOLS]
        await stream.disconnect(reset=reset)
    await asyncio.to_thread(upstream.wait_for_close)
    run = await _cancelled(there, conversation)
    async with asyncio.timeout(10):
        for other in others:
            async with other:
                assert check_proof(await other.rest())["finish_reason"] == "cancelled"
    _, answer = await there.messages(conversation.id)
    assert (answer.content, answer.status.value) == (tokens(3).text, "cancelled")
    [call] = await calls_of(world.here, run.id)
    assert (call.outcome, call.is_closed) == ("aborted", True)
    assert run.receipt is not None
    assert run.receipt.tokens_received == call.output_tokens
    assert (await there.ask(conversation.id, "Again")).end["status"] == "completed"


@pytest.mark.parametrize("reset", [False, True], ids=["fin", "rst"])
@pytest.mark.parametrize("is_streamed", [True, False], ids=["stream", "respond"])
async def test_a_client_that_takes_its_run_with_it_unread(
    world: Replicas, upstream: ThreadedUpstream, is_streamed: bool, reset: bool
) -> None:
    client = world.there.client()
    conversation = await hire(client, upstream)
    upstream.enqueue(ANSWER.hold(0))
    path = f"/conversations/{conversation.id}/messages" + ("/stream" if is_streamed else "")
    body = {"content": "Hello", "on_disconnect": "cancel"} | ({} if is_streamed else {"respond": True})
    async with await connect(world.here) as response:
        response._writer.write(request_bytes(world.here, path, body))
        await asyncio.to_thread(upstream.wait_for_request)
        await (response.reset() if reset else response.close())
    await asyncio.to_thread(upstream.wait_for_close)
    await _cancelled(client, conversation)
    _, answer = await client.messages(conversation.id)
    assert (answer.content, answer.status.value) == ("", "cancelled")


async def test_only_the_asking_connection_takes_its_run_with_it(world: Replicas, upstream: ThreadedUpstream) -> None:
    """Not a follower, not a reconnect that does not say it again, and not a client that leaves after the end."""
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(6).hold(3))
    async with await begin(here, conversation.id, on_disconnect="cancel") as stream:
        seen = await after_tokens(stream, 3)
        for client in (here, there):
            async with await follow(client, f"/runs/{seen.json['run_id']}/stream") as follower:
                await follower.take(1)
                await follower.disconnect(reset=True)
            async with await resume(client, conversation.id, f"{seen.json['run_id']}:1-1") as again:
                await again.take(1)
                await again.disconnect()
        upstream.release()
        await stream.until("message_end")
        await stream.disconnect(reset=True)
    answer = check_stream(stream.seen)
    assert (answer.end["status"], answer.text) == ("completed", tokens(6).text)
    assert (await there.ask(conversation.id, "Again")).end["status"] == "completed"
    assert (await run_of(there, answer.start["run_id"])).status.value == "completed"


async def test_a_queued_run_is_withdrawn_with_its_client(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(6).hold(3))
    async with await begin(here, conversation.id) as stream:
        await after_tokens(stream, 3)
        waiting = await begin(there, conversation.id, "Never", on_busy="enqueue", on_disconnect="cancel")
        run = run_id((await waiting.take(1))[0])
        await waiting.disconnect()

        async def is_withdrawn() -> bool | None:
            return True if (await run_of(here, run)).finish_reason == "withdrawn" else None

        await eventually(is_withdrawn, within=10)
        upstream.release()
        assert check_stream(await stream.rest() and stream.seen).end["status"] == "completed"
    assert [message.status.value for message in await here.messages(conversation.id)][2:] == ["cancelled"] * 2
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("is_streamed", [True, False], ids=["stream", "respond"])
async def test_a_client_that_goes_at_once_leaves_nothing_running(
    world: Replicas, upstream: ThreadedUpstream, is_streamed: bool
) -> None:
    """It closes right behind its request, which may have been taken; the model would never say a word."""
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream, model="no-headers")
    path = f"/conversations/{conversation.id}/messages" + ("/stream" if is_streamed else "")
    body = {"content": "Hello", "on_busy": "enqueue", "on_disconnect": "cancel"}
    for number in range(10):
        async with await connect(world[number % 2]) as response:
            response._writer.write(request_bytes(world.here, path, body | ({} if is_streamed else {"respond": True})))
            await response._writer.drain()
            await (response.reset() if number % 4 < 2 else response.close())

    async def all_over() -> list[Run] | None:
        runs = await runs_of(there, conversation.id)
        return runs if all(run.finished_at for run in runs) else None

    async def takes_the_next() -> int | None:
        await eventually(all_over, within=10)
        answer = await there.post_message(conversation.id, "Noted")
        return answer.status if answer.status == 200 else None

    await eventually(takes_the_next, within=20)
    runs = await eventually(all_over, within=10)
    assert {run.status.value for run in runs} <= {"cancelled"}
    assert len(await there.messages(conversation.id)) == 2 * len(runs) + 1
    assert len([record for record in upstream.requests if not record.was_abandoned]) == 0
