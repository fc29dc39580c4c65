"""Upgrading a database that holds data, and taking it back, on both databases."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import migrations
from retinue.db.session import Database, Unit
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.messages import MessageStatus
from retinue.domain.runs import RunOptions, RunStatus
from tests.contract.repositories.builders import NOON, a_checkpoint, a_message, a_run, deltas
from tests.migrations.old_rows import OldRows
from tests.migrations.schema import described, look

KEY = IdempotencyKey(route="POST /x", key="k", digest="d")


async def test_runs_are_given_what_they_lack(database_url: str) -> None:
    old = OldRows()
    first, second, third = old.conversations
    ended = old.add_run(first, position=3, status="completed")
    elsewhere = old.add_run(second, position=5, status="failed")
    running = old.add_run(first, position=7, status="running")
    queued = old.add_run(third, position=9, status="queued")
    await _at_0001(database_url, old)
    await migrations.upgrade(database_url)
    async with _unit(database_url, old.tenant) as unit:
        runs = [await unit.runs.get(run_id) for run_id in (ended, elsewhere, running, queued)]
    assert [run.position for run in runs] == [3, 5, 7, 9]
    assert [run.ordinal for run in runs] == [1, 1, 2, None]
    assert [run.started_at for run in runs] == [NOON, NOON, NOON, None]
    assert {(run.is_urgent, run.options, run.appended, run.pruned_at) for run in runs} == {
        (False, RunOptions(), 0, None)
    }


async def test_nothing_is_lost_on_the_way_up_and_down(database_url: str) -> None:
    """SQLite rebuilds the table of runs; what hangs on it must stay."""
    old = OldRows()
    run_id = old.add_run(old.conversations[0], position=1, status="completed")
    await _at_0001(database_url, old)
    before = await look(database_url, lambda connection: _contents(connection, old_columns(connection)))
    columns = await look(database_url, old_columns)
    await migrations.upgrade(database_url)
    assert await look(database_url, lambda connection: _contents(connection, columns)) == before
    async with _unit(database_url, old.tenant) as unit:
        assert len(await unit.run_events.read(run_id)) == 1
    await migrations.downgrade(database_url, "0001")
    assert await look(database_url, lambda connection: _contents(connection, columns)) == before


async def test_the_schema_is_the_same_after_going_down(database_url: str) -> None:
    await migrations.upgrade(database_url, "0001")
    first = await look(database_url, described)
    await migrations.upgrade(database_url)
    second = await look(database_url, described)
    await migrations.downgrade(database_url, "0001")
    assert await look(database_url, described) == first != second


async def test_what_hangs_on_a_rebuilt_table_still_goes_with_it(database_url: str) -> None:
    old = OldRows()
    run_id = old.add_run(old.conversations[0], position=1, status="completed")
    await _at_0001(database_url, old)
    await migrations.upgrade(database_url)
    async with _unit(database_url, old.tenant) as unit:
        await unit.conversations.delete(old.conversations[0])
        assert await unit.run_events.read(run_id) == []
        assert await unit.tool_calls.list(run_id) == []


async def test_going_down_ends_what_0001_does_not_know(database_url: str) -> None:
    old = OldRows()
    run_id = old.add_run(old.conversations[0], position=1, status="running")
    await _at_0001(database_url, old)
    await migrations.upgrade(database_url)
    async with _unit(database_url, old.tenant) as unit:
        conversation = await unit.conversations.get(old.conversations[0])
        run = await unit.runs.get(run_id)
        question = a_message(conversation, 20, status=MessageStatus.PENDING)
        queued = a_run(conversation, status=RunStatus.QUEUED, user_message_id=question.id, position=20)
        await unit.messages.add(question)
        await unit.runs.add(queued, owner=None, lease_seconds=0)
        await unit.run_events.add(queued.id, 1, deltas(queued.id, 1, 1, 2))
        await unit.checkpoints.add(a_checkpoint(run, 1), 1)
        await unit.idempotency.claim(KEY, keep_seconds=60)
    await migrations.downgrade(database_url, "0001")
    await migrations.upgrade(database_url)
    async with _unit(database_url, old.tenant) as unit:
        assert await unit.runs.find(queued.id) is None
        assert await unit.run_events.read(queued.id) == []
        assert (await unit.messages.get(question.id)).status is MessageStatus.CANCELLED
        assert await unit.runs.active(conversation.id) == run
        assert await unit.checkpoints.list(run.id) == []
        assert await unit.idempotency.claim(KEY, keep_seconds=60) is None


async def _at_0001(url: str, rows: OldRows) -> None:
    await migrations.upgrade(url, "0001")
    await look(url, rows.store)


@asynccontextmanager
async def _unit(url: str, tenant_id: UUID) -> AsyncIterator[Unit]:
    database = Database.connect(url)
    try:
        async with database.unit(tenant_id) as unit:
            yield unit
    finally:
        await database.aclose()


def old_columns(connection: sa.Connection) -> dict[str, list[str]]:
    inspector = sa.inspect(connection)
    return {
        table: [column["name"] for column in inspector.get_columns(table)]
        for table in inspector.get_table_names()
        if table != "alembic_version"
    }


def _contents(connection: sa.Connection, columns: dict[str, list[str]]) -> dict[str, list[Any]]:
    return {
        table: sorted(map(repr, connection.execute(sa.select(*map(sa.column, names)).select_from(sa.table(table)))))
        for table, names in columns.items()
    }
