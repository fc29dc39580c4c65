"""A database that takes nothing for a while stops no stream and loses nothing."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from time import monotonic

import pytest

from tests.e2e.streams.runs import bare, check_proof, counting_text, follow, run_id, run_of, script
from tests.e2e.streams.servers import one_server
from tests.e2e.streams.store import calls_of, connect_postgres, execute, is_sqlite, sqlite_file
from tests.e2e.streams.talk import after_tokens, begin, check_stream, eventually, hire, resume
from tests.support.client import RetinueClient
from tests.support.databases import DIALECTS
from tests.support.forking import ForkedServer
from tests.support.server import RetinueServer
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

LOCKED_SECONDS = 2.0
GIVES_UP_WITHIN = 40.0
"""Seconds in which a run that nothing can be stored of breaks its streams off."""


@asynccontextmanager
async def locked(server: RetinueServer) -> AsyncIterator[None]:
    """Somebody else holds what every write needs."""
    if is_sqlite(server):
        with closing(sqlite3.connect(sqlite_file(server), isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield
            connection.execute("ROLLBACK")
        return
    connection = await connect_postgres(server)
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE runs, run_events, messages, ledger IN EXCLUSIVE MODE")
            yield
    finally:
        await connection.close()


async def test_a_lock_in_the_middle_of_a_stream(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    conversation = await hire(client, upstream)
    upstream.enqueue(tokens(200).hold(3))
    async with await client.stream(conversation.id, "Hello") as stream:
        await after_tokens(stream, 3)
        async with locked(retinue), asyncio.timeout(30):
            since = monotonic()
            upstream.release()
            await after_tokens(stream, 197)
            late = asyncio.create_task(anext(stream))
            done, _ = await asyncio.wait([late], timeout=max(0.5, since + LOCKED_SECONDS - monotonic()))
            assert not done, "the end was told before it was stored"
        end = await asyncio.wait_for(late, 30)
        await stream.rest()
    answer = check_stream(stream.seen)
    assert end.json["status"] == "completed"
    assert answer.text == tokens(200).text
    _, stored = await client.messages(conversation.id)
    assert (stored.content, stored.status.value) == (answer.text, "completed")
    [call] = await calls_of(retinue, answer.start["run_id"])
    assert (call.outcome, call.is_closed) == ("completed", True)
    async with await resume(client, conversation.id, f"{answer.start['run_id']}:0-0") as again:
        assert await again.rest() == answer.frames


async def test_batches_that_the_database_refuses_are_written_later(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    conversation = await hire(client, upstream)
    upstream.enqueue(tokens(200).hold(100, "middle").hold(1, "start"))
    written = len(retinue.output)
    async with await client.stream(conversation.id, "Hello") as stream:
        await after_tokens(stream, 1)
        await execute(retinue, "ALTER TABLE run_events RENAME TO mislaid")
        try:
            upstream.release("start")
            await after_tokens(stream, 99)
            await eventually(lambda: _has_been_refused(retinue, written))
        finally:
            await execute(retinue, "ALTER TABLE mislaid RENAME TO run_events")
        upstream.release("middle")
        await stream.rest()
    answer = check_stream(stream.seen)
    assert (answer.end["status"], answer.text) == ("completed", tokens(200).text)
    async with await resume(client, conversation.id, f"{answer.start['run_id']}:0-0") as again:
        assert await again.rest() == answer.frames


async def _has_been_refused(server: RetinueServer, since: int) -> bool | None:
    """Whether the server has met the outage more than once."""
    return True if server.output[since:].count("events_not_stored") > 1 else None


async def test_a_lock_at_the_start_delays_and_loses_nothing(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    conversation = await hire(client, upstream)
    async with locked(retinue):
        asking = asyncio.create_task(client.ask(conversation.id, "Hello"))
        done, _ = await asyncio.wait([asking], timeout=0.5)
        assert not done
        assert not upstream.requests, "the model was asked before the question was stored"
    answer = await asyncio.wait_for(asking, 30)
    assert answer.end["status"] == "completed"


@pytest.fixture
def doomed(request: pytest.FixtureRequest) -> Iterator[list[ForkedServer]]:
    """A server on each database, with short leases and statements."""
    settings = {"RETINUE_RUNS_LEASE_SECONDS": "3", "RETINUE_DATABASE_COMMAND_TIMEOUT": "2"}
    with one_server(request, DIALECTS[0], **settings) as one, one_server(request, DIALECTS[1], **settings) as other:
        yield [one, other]


async def test_a_database_that_stays_away(doomed: list[ForkedServer], upstream: ThreadedUpstream) -> None:
    """Nobody is told an end that is not stored. When the database is back the run goes on, and has one."""
    await asyncio.gather(*(_lose_database(server, upstream) for server in doomed))


async def _lose_database(server: ForkedServer, upstream: ThreadedUpstream) -> None:
    client, name = server.client(), "sqlite" if is_sqlite(server) else "postgresql"
    conversation = await hire(client, upstream)
    content = script(tokens(6).hold(3, name))
    async with await begin(client, conversation.id, content) as stream:
        await after_tokens(stream, 3)
        run = run_id(stream.seen[0])
        async with await follow(client, f"/runs/{run}/stream", protocol="events") as follower:
            async with locked(server), asyncio.timeout(GIVES_UP_WITHIN):
                upstream.release(name)
                *told, error = await stream.to_any_end()
                broken = (await follower.to_any_end())[-1]
            for ended in (stream, follower):
                assert ended.response.ending == "cut", name
    assert [frame.json["content"] for frame in told if frame.event == "token"] == [" w4", " w5", " w6"]
    assert (error.event, error.id, broken.event, broken.id) == ("message_error", None, "stream.broken", None)
    for failure in (error.json, broken.json):
        assert (failure["run_id"], failure["code"], failure["retryable"]) == (run, "stream_broken", True)

    async with asyncio.timeout(15), await resume(client, conversation.id, told[-1].id or "") as rest:
        await rest.rest()
    whole = [*stream.seen[:-1], *rest.seen]
    assert [frame.json["attempt"] for frame in whole if frame.event == "attempt_started"] == [2], name
    assert check_proof(whole)["status"] == "completed"
    assert counting_text(whole) == tokens(6).text
    assert (await run_of(client, run)).attempt == 2
    assert (await client.messages(conversation.id))[1].content == tokens(6).text
    lost, completed = await calls_of(server, run)
    assert (lost.outcome, lost.is_closed, completed.outcome) == ("aborted", True, "completed")
    async with await follow(client, f"/runs/{run}/stream") as again:
        stored = await again.rest()
    assert bare(stored)[-len(rest.seen) :] == bare(rest.seen)
    assert (await client.ask(conversation.id, "Again")).end["status"] == "completed"
