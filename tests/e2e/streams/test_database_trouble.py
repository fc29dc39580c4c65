"""A database that takes nothing for a while stops no stream and loses nothing."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from time import monotonic

import pytest

from tests.e2e.streams.store import calls_of, connect_postgres, execute, is_sqlite, sqlite_file
from tests.e2e.streams.talk import after_tokens, check_stream, eventually, hire, resume
from tests.support.client import RetinueClient
from tests.support.server import RetinueServer
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

LOCKED_SECONDS = 2.0


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
