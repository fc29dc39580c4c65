"""Stopping, orderly and not."""

import asyncio
import signal
from uuid import UUID

import pytest

from retinue.domain.conversations import Conversation
from tests.e2e.streams.store import calls_of, has_stored, rows
from tests.e2e.streams.talk import (
    after_tokens,
    check_stream,
    eventually,
    hire,
    more_conversations,
    open_stream,
    problem,
    resume,
)
from tests.support.client import RetinueClient
from tests.support.server import RetinueServer
from tests.support.sse import EventStream
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

ANSWER = tokens(6)
SAID = tokens(3).text


def server_with(dialect: str, **settings: str) -> pytest.MarkDecorator:
    """The server that this test may stop or kill."""
    return pytest.mark.parametrize("own_server", [pytest.param((dialect, settings), id=dialect)], indirect=True)


async def _stand_still(client: RetinueClient, conversation: Conversation) -> EventStream:
    """A stream whose model waits after three tokens."""
    stream = await client.stream(conversation.id, "Hello")
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
async def test_a_running_answer_may_complete(own_server: RetinueServer, upstream: ThreadedUpstream) -> None:
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


@server_with("postgresql", RETINUE_RUNS_DRAIN_SECONDS="1")
async def test_an_answer_that_takes_longer_is_ended(own_server: RetinueServer, upstream: ThreadedUpstream) -> None:
    client = own_server.client()
    conversation = await hire(client, upstream)
    upstream.enqueue(ANSWER.hold(3))
    async with await _stand_still(client, conversation) as stream:
        own_server.process.send(signal.SIGTERM)
        async with asyncio.timeout(20):
            await stream.rest()
    answer = check_stream(stream.seen)
    [error] = answer.of("message_error")
    assert (error["code"], error["retryable"], error["status"]) == ("server_stopping", True, 503)
    assert (answer.end["status"], answer.text) == ("failed", SAID)
    await asyncio.to_thread(upstream.wait_for_close)
    assert await _exit_status(own_server, within=20) == 0
    assert await rows(own_server, "SELECT content, status, error_code FROM messages WHERE role = 'assistant'") == [
        (SAID, "failed", "server_stopping")
    ]
    [call] = await calls_of(own_server, answer.start["run_id"])
    assert (call.outcome, call.is_closed) == ("aborted", True)


@server_with("sqlite", RETINUE_RUNS_LEASE_SECONDS="1", RETINUE_RUNS_DRAIN_SECONDS="60")
@pytest.mark.parametrize("is_killed", [True, False], ids=["SIGKILL", "SIGTERM-twice"])
async def test_what_a_lost_process_leaves_behind(
    own_server: RetinueServer, upstream: ThreadedUpstream, is_killed: bool
) -> None:
    client = own_server.client()
    conversation = await hire(client, upstream)
    upstream.enqueue(ANSWER.hold(3))
    async with await _stand_still(client, conversation) as stream:
        start, last = stream.seen[0], stream.seen[-1]
        run = UUID(start.json["run_id"])
        await eventually(lambda: has_stored(own_server, run, last.id))
        await _crash(own_server, client, is_killed)
        assert await stream.to_any_end() == []
        assert stream.response.ending == "cut"
    [before] = await calls_of(own_server, run)
    assert (before.outcome, before.is_closed) == ("open", False)

    await asyncio.to_thread(own_server.start)
    async with asyncio.timeout(20), await resume(client, conversation.id, last.id or "") as rest:
        await rest.rest()
    answer = check_stream([*stream.seen, *rest.seen])
    [error] = answer.of("message_error")
    assert (error["code"], error["retryable"], answer.end["status"]) == ("process_lost", True, "failed")
    _, stored = await client.messages(conversation.id)
    assert (stored.content, stored.status.value, stored.error_code) == (SAID, "failed", "process_lost")
    assert await rows(own_server, "SELECT text_sha256 FROM runs WHERE id = {}", run) == [(answer.end["text_sha256"],)]
    [call] = await calls_of(own_server, run)
    assert (call.outcome, call.error_code, call.is_closed) == ("aborted", "process_lost", True)
    assert not await rows(own_server, "SELECT id FROM messages WHERE status = 'streaming'")
    assert not await rows(own_server, "SELECT id FROM ledger WHERE closed_at IS NULL")
    assert (await client.ask(conversation.id, "Again")).text == "You said: Again"


async def _crash(server: RetinueServer, client: RetinueClient, is_killed: bool) -> None:
    if is_killed:
        await asyncio.to_thread(server.kill)
        return
    server.process.send(signal.SIGTERM)
    await eventually(lambda: _is_draining(client), within=5)
    server.process.send(signal.SIGTERM)
    assert await _exit_status(server, within=5) not in {0, None}
