"""Stopping, orderly and not: what is not complete goes on, in another process or after the next start."""

import asyncio
import signal
from time import monotonic
from uuid import UUID

import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.streams.runs import check_proof, counting_text, places, run_of
from tests.e2e.streams.servers import server_with
from tests.e2e.streams.store import Call, calls_of, has_stored, rows
from tests.e2e.streams.talk import (
    after_tokens,
    check_frames,
    check_stream,
    eventually,
    hire,
    more_conversations,
    open_stream,
    problem,
    resume,
)
from tests.support.client import Answer, RetinueClient
from tests.support.forking import ForkedServer
from tests.support.server import RetinueServer
from tests.support.sse import EventStream
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

ANSWER = tokens(6)
SAID = tokens(3).text


async def _stand_still(client: RetinueClient, conversation: Conversation, **fields: str) -> EventStream:
    """A stream whose model waits after three tokens."""
    stream = await client.stream(conversation.id, "Hello", **fields)
    await after_tokens(stream, 3)
    return stream


async def _is_draining(client: RetinueClient) -> bool | None:
    answer = await client.get("/health/ready")
    if answer.status == 200:
        return None
    assert answer.expect(503).json["reasons"] == ["draining"]
    return True


async def _exit_status(server: RetinueServer, *, within: float) -> int:
    return await asyncio.to_thread(server.process.wait, within=within)


@server_with("sqlite", RETINUE_RUNS_DRAIN_SECONDS="60")
async def test_a_running_answer_may_complete(own_server: ForkedServer, upstream: ThreadedUpstream) -> None:
    client = own_server.client()
    conversation = await hire(client, upstream)
    [idle] = await more_conversations(client, conversation, 1)
    upstream.enqueue(ANSWER.hold(3))
    async with await _stand_still(client, conversation) as stream:
        own_server.process.send(signal.SIGTERM)
        await eventually(lambda: _is_draining(client), within=5)
        async with await open_stream(client, idle.id) as refused:
            document = await problem(refused, 503, "shutting_down")
            assert document["retryable"] is True
            assert refused.header("retry-after") == "1"
        (await client.post_message(idle.id, "Hello", respond=True)).problem(503, "shutting_down")
        assert await client.messages(idle.id) == []
        upstream.release()
        await stream.rest()
    answer = check_stream(stream.seen)
    assert (answer.end["status"], answer.text) == ("completed", ANSWER.text)
    assert await _exit_status(own_server, within=20) == 0
    assert await rows(own_server, "SELECT content, status FROM messages WHERE role = 'assistant'") == [
        (ANSWER.text, "completed")
    ]


@server_with("sqlite", "postgresql", RETINUE_RUNS_DRAIN_SECONDS="0.2", RETINUE_STREAM_RETRY_MS="321")
async def test_an_answer_that_takes_longer_is_handed_over(own_server: ForkedServer, upstream: ThreadedUpstream) -> None:
    """The stream says when to come back and breaks off; after the next start the run goes on at once, whatever its
    lease, and whoever asked twice with one key has one answer.
    """
    client = own_server.client()
    conversation = await hire(client, upstream)
    [other] = await more_conversations(client, conversation, 1)
    upstream.enqueue(ANSWER.hold(3), ANSWER.hold(3), ANSWER, ANSWER)
    async with await _stand_still(client, conversation) as stream:
        waiting = asyncio.create_task(_respond(client, other))
        await asyncio.to_thread(upstream.wait_for_request, 1)
        own_server.process.send(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await stream.to_any_end() == []
            (await waiting).problem(503, "stream_moved")
        assert stream._parser.leftover == [b"retry: 321"]
        assert stream.response.ending == "cut"
    for index in (0, 1):
        await asyncio.to_thread(upstream.wait_for_close, index)
    assert await _exit_status(own_server, within=20) == 0
    run, last = UUID(stream.seen[0].json["run_id"]), stream.seen[-1].id or ""
    assert await rows(own_server, "SELECT status, owner FROM runs WHERE id = {}", run) == [("running", None)]
    [call] = await calls_of(own_server, run)
    assert (call.outcome, call.is_closed, bool(call.output_tokens)) == ("aborted", True, True)

    await asyncio.to_thread(own_server.start)
    since = monotonic()
    async with await resume(client, conversation.id, last) as rest:
        await rest.rest()
    answered = await _respond(client, other)
    assert monotonic() - since < 10
    _check_resumed([stream, rest])
    assert answered.expect(200).json["message"]["content"] == ANSWER.text
    assert len(await client.messages(other.id)) == 2
    assert (await client.messages(conversation.id))[1].content == ANSWER.text
    assert [one.outcome for one in await calls_of(own_server, run)] == ["aborted", "completed"]


async def _respond(client: RetinueClient, conversation: Conversation) -> Answer:
    path = f"/conversations/{conversation.id}/messages"
    headers = {"idempotency-key": "once"}
    return await client.call("POST", path, {"content": "Hello", "respond": True}, headers=headers)


def _check_resumed(streams: list[EventStream]) -> None:
    """One run in two attempts: the second says what it takes back, and the rest is the whole answer."""
    frames = [frame for stream in streams for frame in stream.seen]
    check_frames(frames)
    [boundary] = [frame for frame in frames if frame.event == "attempt_started"]
    run = frames[0].json["run_id"]
    assert (boundary.id, boundary.json["attempt"]) == (f"{run}:2-1", 2)
    assert boundary.json["discard_after"] == f"{run}:1-1", "no step was complete"
    assert check_proof(frames)["status"] == "completed"
    assert counting_text(frames) == ANSWER.text


async def _lose(server: ForkedServer, client: RetinueClient, conversation: Conversation, *, by: str) -> EventStream:
    """A stream whose server was lost after three tokens, which are stored."""
    async with await _stand_still(client, conversation) as stream:
        run = UUID(stream.seen[0].json["run_id"])
        await eventually(lambda: has_stored(server, run, stream.seen[-1].id))
        await _crash(server, client, is_killed=by == "SIGKILL")
        assert await stream.to_any_end() == []
        assert stream.response.ending == "cut"
    [before] = await calls_of(server, run)
    assert (before.outcome, before.is_closed) == ("open", False)
    return stream


async def _crash(server: RetinueServer, client: RetinueClient, *, is_killed: bool) -> None:
    if is_killed:
        await asyncio.to_thread(server.kill)
        return
    server.process.send(signal.SIGTERM)
    await eventually(lambda: _is_draining(client), within=5)
    server.process.send(signal.SIGTERM)
    assert await _exit_status(server, within=5) not in {0, None}


@server_with("sqlite", RETINUE_RUNS_LEASE_SECONDS="1", RETINUE_RUNS_DRAIN_SECONDS="60")
@pytest.mark.parametrize("by", ["SIGKILL", "SIGTERM-twice"])
async def test_what_a_lost_process_leaves_behind_goes_on(
    own_server: ForkedServer, upstream: ThreadedUpstream, by: str
) -> None:
    client = own_server.client()
    conversation = await hire(client, upstream)
    upstream.enqueue(ANSWER.hold(3), ANSWER)
    stream = await _lose(own_server, client, conversation, by=by)
    run, last = stream.seen[0].json["run_id"], stream.seen[-1].id or ""

    await asyncio.to_thread(own_server.start)
    async with asyncio.timeout(20), await resume(client, conversation.id, last) as rest:
        await rest.rest()
    _check_resumed([stream, rest])
    _, stored = await client.messages(conversation.id)
    assert (stored.content, stored.status.value, stored.error_code) == (ANSWER.text, "completed", None)
    lost, completed = await calls_of(own_server, run)
    assert (lost.outcome, lost.error_code, lost.is_closed) == ("aborted", "process_lost", True)
    assert (completed.outcome, completed.output_tokens) == ("completed", 6)
    assert (await run_of(client, run)).attempt == 2
    assert (await client.ask(conversation.id, "Again")).text == "You said: Again"


@server_with("sqlite", "postgresql", RETINUE_RUNS_LEASE_SECONDS="1", RETINUE_RUNS_MAX_ATTEMPTS="1")
async def test_attempts_are_bounded(own_server: ForkedServer, upstream: ThreadedUpstream) -> None:
    client = own_server.client()
    conversation = await hire(client, upstream)
    upstream.enqueue(ANSWER.hold(3))
    stream = await _lose(own_server, client, conversation, by="SIGKILL")
    run, last = UUID(stream.seen[0].json["run_id"]), stream.seen[-1].id or ""

    await asyncio.to_thread(own_server.start)
    async with asyncio.timeout(20), await resume(client, conversation.id, last) as rest:
        await rest.rest()
    answer = check_stream([*stream.seen, *rest.seen])
    [boundary] = answer.of("attempt_started")
    assert boundary["discard_after"] == last, "what was said stays"
    [error] = answer.of("message_error")
    assert (error["code"], error["retryable"], answer.end["status"]) == ("process_lost", True, "failed")
    assert places(rest.seen) == ["2-1", None, "2-2"]
    _, stored = await client.messages(conversation.id)
    assert (stored.content, stored.status.value, stored.error_code) == (SAID, "failed", "process_lost")
    assert await rows(own_server, "SELECT text_sha256 FROM runs WHERE id = {}", run) == [(answer.end["text_sha256"],)]
    [call] = await calls_of(own_server, run)
    assert call == Call(1, 1, "aborted", "process_lost", is_closed=True, output_tokens=call.output_tokens)
    assert not await rows(own_server, "SELECT id FROM messages WHERE status = 'streaming'")
    assert not await rows(own_server, "SELECT id FROM ledger WHERE closed_at IS NULL")
    assert (await client.ask(conversation.id, "Again")).text == "You said: Again"


@server_with("sqlite", RETINUE_RUNS_DRAIN_SECONDS="0.1")
async def test_what_waits_is_handed_over_too(own_server: ForkedServer, upstream: ThreadedUpstream) -> None:
    """A queue survives the restart; its clients come back as well, also those whose going away would cancel: it was the
    server that went.
    """
    client = own_server.client()
    conversation = await hire(client, upstream)
    upstream.enqueue(ANSWER.hold(3), ANSWER)
    async with (
        await _stand_still(client, conversation, on_disconnect="cancel") as first,
        await client.stream(conversation.id, "Second", on_busy="enqueue", on_disconnect="cancel") as second,
    ):
        await second.take(2)
        own_server.process.send(signal.SIGTERM)
        async with asyncio.timeout(20):
            assert await first.to_any_end() == await second.to_any_end() == []
        assert first.response.ending == second.response.ending == "cut"
        assert second._parser.leftover == [b"retry: 1000"]
    assert await _exit_status(own_server, within=20) == 0
    await asyncio.to_thread(own_server.start)
    async with asyncio.timeout(20):
        async with await resume(client, conversation.id, second.seen[-1].id or "") as rest:
            await rest.rest()
    answer = check_stream([*second.seen, *rest.seen])
    assert (answer.end["status"], answer.text) == ("completed", "You said: Second")
    messages = await client.messages(conversation.id)
    assert [message.content for message in messages] == ["Hello", ANSWER.text, "Second", "You said: Second"]
