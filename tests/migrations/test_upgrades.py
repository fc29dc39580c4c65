"""Upgrading a database that holds data, and taking it back, on both databases."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from retinue.db.session import Unit
from retinue.db.tables import Base
from retinue.domain.errors import StorageFailed
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import new_id
from retinue.domain.messages import MessageStatus
from retinue.domain.runs import RunOptions, RunStatus, WaitingFor
from retinue.domain.tools import CallStatus, Effect, JournalEntry, Risk
from tests.contract.repositories.builders import (
    NOON,
    a_call,
    a_checkpoint,
    a_grant,
    a_message,
    a_run,
    an_answer,
    an_approval,
    deltas,
)
from tests.contract.repositories.test_runs import END
from tests.migrations.old_rows import OldRows
from tests.migrations.schema import described, look
from tests.support.roles import downgrade, open_database, upgrade

KEY = IdempotencyKey(route="POST /x", key="k", digest="d")


async def test_runs_are_given_what_they_lack(database_url: str) -> None:
    old = OldRows()
    first, second, third = old.conversations
    ended = old.add_run(first, position=3, status="completed")
    elsewhere = old.add_run(second, position=5, status="failed")
    running = old.add_run(first, position=7, status="running")
    queued = old.add_run(third, position=9, status="queued")
    await _at_0001(database_url, old)
    await upgrade(database_url)
    async with _unit(database_url, old.tenant) as unit:
        runs = [await unit.runs.get(run_id) for run_id in (ended, elsewhere, running, queued)]
    assert [run.position for run in runs] == [3, 5, 7, 9]
    assert [run.ordinal for run in runs] == [1, 1, 2, None]
    assert [run.started_at for run in runs] == [NOON, NOON, NOON, None]
    assert {(run.is_urgent, run.options, run.appended, run.pruned_at) for run in runs} == {
        (False, RunOptions(), 0, None)
    }
    assert {(run.waiting_for, run.pauses) for run in runs} == {(None, 0)}


async def test_results_that_are_numbers_can_be_read(database_url: str) -> None:
    """As 0007 has them: on SQLite they are numbers there."""
    tenant, run_id = await _upgraded_with_a_run(database_url, status="completed")
    async with _unit(database_url, tenant) as unit:
        run = await unit.runs.get(run_id)
        results = [7, 1.5, -1, {"a": 7}, None, "7"]
        await unit.tool_calls.add(run_id, [a_call(run, place, result=each) for place, each in enumerate(results, 11)])
    await downgrade(database_url, "0007")
    await upgrade(database_url)
    async with _unit(database_url, tenant) as unit:
        assert [call.result for call in await unit.tool_calls.list(run_id) if call.position > 10] == results


async def test_old_tool_calls_become_a_journal(database_url: str) -> None:
    old = OldRows()
    first = old.add_run(old.conversations[0], position=1, status="completed", step=None)
    second = old.add_run(old.conversations[1], position=1, status="completed", step=2)
    await _at_0001(database_url, old)
    await look(database_url, lambda connection: _fail_call(connection, second))
    await upgrade(database_url)
    expected = JournalEntry(
        run_id=first,
        position=1,
        step=0,
        call_id="c",
        name="search",
        version="",
        args={"q": 1},
        effect=Effect.READ,
        risk=Risk.NONE,
        status=CallStatus.SUCCEEDED,
        duration_ms=1,
        started_at=NOON,
        finished_at=NOON,
    )
    failed = {"run_id": second, "step": 2, "status": CallStatus.FAILED, "error": "x"}
    async with _unit(database_url, old.tenant) as unit:
        assert await unit.tool_calls.list(first) == [expected]
        assert await unit.tool_calls.list(second) == [msgspec.structs.replace(expected, **failed)]


async def test_old_conversations_follow_the_server(database_url: str) -> None:
    old = OldRows()
    old.add_run(old.conversations[0], position=1, status="completed")
    await _at_0001(database_url, old)
    await upgrade(database_url)
    async with _unit(database_url, old.tenant) as unit:
        conversation = await unit.conversations.get(old.conversations[0])
        assert not (await unit.conversations.session(conversation.id, 0)).has_expired
    assert (conversation.session_ttl_seconds, conversation.reopened_at) == (None, None)


async def test_nothing_is_lost_on_the_way_up_and_down(database_url: str) -> None:
    """SQLite rebuilds the table of runs; what hangs on it must stay."""
    old = OldRows()
    run_id = old.add_run(old.conversations[0], position=1, status="completed")
    await _at_0001(database_url, old)
    before = await look(database_url, lambda connection: _contents(connection, old_columns(connection)))
    columns = await look(database_url, old_columns)
    await upgrade(database_url)
    assert await look(database_url, lambda connection: _contents(connection, columns)) == before
    async with _unit(database_url, old.tenant) as unit:
        assert len(await unit.run_events.read(run_id)) == 1
    await downgrade(database_url, "0001")
    assert await look(database_url, lambda connection: _contents(connection, columns)) == before


async def test_the_schema_is_the_same_after_going_down(database_url: str) -> None:
    await upgrade(database_url, "0001")
    first = await look(database_url, described)
    await upgrade(database_url)
    second = await look(database_url, described)
    await downgrade(database_url, "0001")
    assert await look(database_url, described) == first != second


async def test_what_hangs_on_a_rebuilt_table_still_goes_with_it(database_url: str) -> None:
    old = OldRows()
    run_id = old.add_run(old.conversations[0], position=1, status="completed")
    await _at_0001(database_url, old)
    await upgrade(database_url)
    async with _unit(database_url, old.tenant) as unit:
        await unit.conversations.delete(old.conversations[0])
        assert await unit.run_events.read(run_id) == []
        assert await unit.tool_calls.list(run_id) == []


async def test_going_down_ends_what_0001_does_not_know(database_url: str) -> None:
    old = OldRows()
    run_id = old.add_run(old.conversations[0], position=1, status="running")
    await _at_0001(database_url, old)
    await upgrade(database_url)
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
    await downgrade(database_url, "0001")
    await upgrade(database_url)
    async with _unit(database_url, old.tenant) as unit:
        assert await unit.runs.find(queued.id) is None
        assert await unit.run_events.read(queued.id) == []
        assert (await unit.messages.get(question.id)).status is MessageStatus.CANCELLED
        assert await unit.runs.active(conversation.id) == run
        assert await unit.checkpoints.list(run.id) == []
        assert await unit.idempotency.claim(KEY, keep_seconds=60) is None


async def test_going_down_ends_what_0002_does_not_know(database_url: str) -> None:
    old = OldRows()
    ids = [old.add_run(conversation, position=1, status="running") for conversation in old.conversations]
    await _at_0001(database_url, old)
    await upgrade(database_url)
    async with _unit(database_url, old.tenant) as unit:
        waiting, running, ended = [await unit.runs.get(run_id) for run_id in ids]
        await unit.runs.pause(waiting.id, 1, waiting_for=WaitingFor.APPROVAL)
        await unit.runs.finish(ended.id, 1, **END, at=NOON)
        conversation = await unit.conversations.get(waiting.conversation_id)
        answer = msgspec.structs.replace(an_answer(conversation, 7), status=MessageStatus.WAITING)
        await unit.messages.add(answer)
        approval = an_approval(waiting)
        await unit.approvals.add(approval)
        await unit.grants.add(a_grant(approval))
        done = {"status": CallStatus.DENIED, "finished_at": NOON}
        await unit.tool_calls.add(waiting.id, [a_call(waiting, 2), a_call(waiting, 3, **done)])
        await unit.audit.record("run.paused", object_type="run", object_id=str(waiting.id))
    await downgrade(database_url, "0002")
    statuses = await look(database_url, _statuses)
    assert statuses[waiting.id] == ("cancelled", None)
    assert statuses[running.id][0] == "running"
    assert statuses[ended.id][0] == "completed"
    await upgrade(database_url)
    async with _unit(database_url, old.tenant) as unit:
        assert (await unit.runs.get(running.id)) == running
        assert await unit.runs.active(conversation.id) is None
        assert (await unit.messages.get(answer.id)).status is MessageStatus.CANCELLED
        assert await unit.approvals.find(approval.id) is None
        assert await unit.grants.list(conversation.id) == []
        calls = await unit.tool_calls.list(waiting.id)
        assert [(call.position, call.status, call.duration_ms) for call in calls] == [
            (1, CallStatus.SUCCEEDED, 1),
            (3, CallStatus.FAILED, 0),
        ]
        assert (calls[1].started_at, calls[1].finished_at) == (NOON, NOON)
        assert (await unit.audit.verify()).entries == 0


async def test_the_trail_is_guarded_again_after_going_down_and_up(database_url: str) -> None:
    await upgrade(database_url)
    await downgrade(database_url, "0002")
    await upgrade(database_url)
    tenant = new_id()
    async with _unit(database_url, tenant) as unit:
        await unit.audit.record("x.done", object_type="x", object_id="1")
    for statement in ("UPDATE audit_entries SET actor = 'x'", "DELETE FROM audit_entries"):
        with pytest.raises(StorageFailed):
            async with _unit(database_url, tenant) as unit:
                await unit._executor.change(sa.text(statement))


async def test_a_rebuilt_journal_still_goes_with_its_run(database_url: str) -> None:
    tenant, run_id = await _upgraded_with_a_run(database_url, status="running")
    async with _unit(database_url, tenant) as unit:
        run = await unit.runs.get(run_id)
        approval = an_approval(run)
        await unit.approvals.add(approval)
        await unit.grants.add(a_grant(approval))
        await unit.conversations.delete(run.conversation_id)
        assert await unit.tool_calls.list(run_id) == []
        assert await unit.approvals.find(approval.id) is None
        assert await unit.grants.list(run.conversation_id) == []


def _fail_call(connection: sa.Connection, run_id: UUID) -> None:
    calls = Base.metadata.tables["tool_calls"]
    failed = sa.update(calls).where(calls.c.run_id == run_id).values(status="failed", error="x")
    connection.execute(failed)


def _statuses(connection: sa.Connection) -> dict[UUID, Any]:
    runs = Base.metadata.tables["runs"]
    columns = (runs.c.id, sa.cast(runs.c.status, sa.Text), runs.c.lease_expires_at)
    return {row[0]: (row[1], row[2]) for row in connection.execute(sa.select(*columns))}


async def _upgraded_with_a_run(url: str, *, status: str) -> tuple[UUID, UUID]:
    """From 0001 to what the code expects; its tenant and the run."""
    old = OldRows()
    run_id = old.add_run(old.conversations[0], position=1, status=status)
    await _at_0001(url, old)
    await upgrade(url)
    return old.tenant, run_id


async def _at_0001(url: str, rows: OldRows) -> None:
    await upgrade(url, "0001")
    await look(url, rows.store)


@asynccontextmanager
async def _unit(url: str, tenant_id: UUID) -> AsyncIterator[Unit]:
    database = open_database(url)
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
