"""A conversation whose row somebody holds suffers alone: the process serves everybody else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from uuid import UUID

import pytest

from tests.e2e.streams.runs import run_of, script
from tests.e2e.streams.servers import server_with
from tests.e2e.streams.store import connect_postgres, has_stored, rows
from tests.e2e.streams.talk import after_tokens, begin, check_stream, eventually, hire
from tests.support.forking import ForkedServer
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

LEASE = 1.5
CROWD = 14
"""More than there are connections to the database, and no more than may wait in a conversation."""
SOON = 3.0
"""Seconds; whoever waited for the row as well would wait for more than twice that."""


@asynccontextmanager
async def row_held(server: ForkedServer, *conversations: UUID) -> AsyncIterator[None]:
    """As by an operator who went to lunch, or by a process that stands still."""
    connection = await connect_postgres(server)
    try:
        async with connection.transaction():
            for conversation in conversations:
                await connection.execute(f"SELECT id FROM conversations WHERE id = '{conversation}' FOR UPDATE")
            yield
    finally:
        await connection.close()


@server_with("postgresql", RETINUE_RUNS_LEASE_SECONDS=str(LEASE), RETINUE_DATABASE_POOL_SIZE="10")
async def test_one_row_that_is_held(own_server: ForkedServer, upstream: ThreadedUpstream) -> None:
    client = own_server.client()
    stuck, other, fresh = await hire(client, upstream), await hire(client, upstream), await client.hire()
    async with await begin(client, other.id, script(tokens(9).hold(3, "other"))) as live:
        seen = await after_tokens(live, 3)
        run = UUID(seen.json["run_id"])
        async with row_held(own_server, stuck.id):
            waiting = [
                asyncio.create_task(client.post_message(stuck.id, f"Waits {number}", respond=True, on_busy="enqueue"))
                for number in range(CROWD)
            ]
            await eventually(lambda: _somebody_waits(own_server))
            first_expiry = await _lease_of(own_server, run)
            for _ in range(3):
                since = monotonic()
                (await client.get("/health/ready")).expect(200)
                answer = (await client.post_message(fresh.id, "Hello", respond=True)).expect(200)
                assert answer.json["status"] == "completed"
                assert monotonic() - since < SOON
            await eventually(lambda: _renewed(own_server, run, first_expiry), within=2 * LEASE)
            since = monotonic()
            upstream.release("other")
            await live.rest()
            assert monotonic() - since < SOON, "its end could not be stored"
            assert not any(task.done() for task in waiting), [task.result() for task in waiting if task.done()]
        async with asyncio.timeout(30):
            answers = [answer.expect(200) for answer in await asyncio.gather(*waiting)]
    assert check_stream(live.seen).text == tokens(9).text
    assert (await run_of(client, run)).attempt == 1
    assert {answer.json["status"] for answer in answers} == {"completed"}


@server_with("postgresql", RETINUE_RUNS_LEASE_SECONDS=str(LEASE), RETINUE_DATABASE_POOL_SIZE="4")
async def test_requests_that_hold_every_connection(own_server: ForkedServer, upstream: ThreadedUpstream) -> None:
    """Leases, events and the question whether the process is ready have connections that no request can hold."""
    client = own_server.client()
    other, *stuck = [await hire(client, upstream) for _ in range(5)]
    async with await begin(client, other.id, script(tokens(9).hold(6, "more").hold(3, "other"))) as live:
        run = UUID((await after_tokens(live, 3)).json["run_id"])
        async with row_held(own_server, *(one.id for one in stuck)):
            waiting = [
                asyncio.create_task(client.patch(f"/conversations/{stuck[number % 4].id}", {"title": str(number)}))
                for number in range(CROWD)
            ]
            await eventually(lambda: _somebody_waits(own_server, 4))
            expiry, since = await _lease_of(own_server, run), monotonic()
            (await client.get("/health/ready")).expect(200)
            upstream.release("other")
            said = await after_tokens(live, 3)
            await eventually(lambda: has_stored(own_server, run, said.id))
            await eventually(lambda: _renewed(own_server, run, expiry), within=2 * LEASE)
            assert monotonic() - since < SOON
        async with asyncio.timeout(30):
            assert {answer.status for answer in await asyncio.gather(*waiting)} == {200}
        upstream.release("more")
        await live.rest()
    assert check_stream(live.seen).text == tokens(9).text
    assert (await run_of(client, run)).attempt == 1


async def _somebody_waits(server: ForkedServer, at_least: int = 1) -> bool | None:
    [[count]] = await rows(
        server,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    return count >= at_least or None


async def _lease_of(server: ForkedServer, run: UUID) -> object:
    [[expiry]] = await rows(server, "SELECT lease_expires_at FROM runs WHERE id = {}", run)
    return expiry


async def _renewed(server: ForkedServer, run: UUID, since: object) -> bool | None:
    return await _lease_of(server, run) != since or None
