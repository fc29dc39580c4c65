"""Changes of several repositories that are carried out at once."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from retinue.db.changes import Joint
from retinue.db.session import Database, Unit
from retinue.domain.budgets import Reservation
from retinue.domain.conversations import Conversation
from retinue.domain.errors import Conflict, InternalError, NotFound, RetinueError, StorageFailed
from retinue.domain.ids import new_id
from retinue.domain.messages import Message, MessageStatus
from retinue.domain.runs import Run
from retinue.runs.event_writer import AT_ONCE
from tests.contract.repositories.builders import LATER, NOON, a_message, a_run, an_answer, an_end, an_entry, deltas
from tests.contract.repositories.ends import ANSWER_END, CALL_END, RUN_END
from tests.contract.repositories.visits import sqlite_only, visits_of

KEPT = 15 * 1024
"""Statements that are longer asyncpg prepares anew each time."""


@pytest.fixture
async def run(database: Database, conversation: Conversation) -> Run:
    """With an answer, an open call and two events."""
    run = a_run(conversation)
    async with database.unit(run.tenant_id) as unit:
        await unit.runs.add(run, owner="me", lease_seconds=30)
        await unit.messages.add(answer_of(run, conversation))
        await unit.run_events.add(run.id, 1, deltas(run.id, 1, 1, 2))
    return run


def answer_of(run: Run, conversation: Conversation) -> Message:
    return msgspec.structs.replace(an_answer(conversation, 1), id=run.message_id, run_id=run.id)


async def test_each_tells_what_came_of_it(database: Database, run: Run) -> None:
    entry, missing = an_entry(run), new_id()
    async with database.unit(run.tenant_id) as unit:
        await unit.ledger.open(entry)
        told = await unit.together(
            unit.runs.finishing(missing, 1, **RUN_END),
            unit.runs.finishing(run.id, 1, **RUN_END),
            unit.messages.finishing(run.message_id, **ANSWER_END),
            unit.ledger.closing(missing, **CALL_END),
            unit.ledger.closing(entry.id, **CALL_END),
            unit.run_events.adding_last(run.id, 1, [an_end(run, 3)]),
        )
    assert told == [False, True, True, False, True, True]
    async with database.unit(run.tenant_id, read_only=True) as unit:
        assert (await unit.runs.get(run.id)).status is RUN_END["status"]
        assert (await unit.messages.get(run.message_id)).content == ANSWER_END["content"]
        assert [each.outcome for each in await unit.ledger.list(run.id)] == [CALL_END["outcome"]]
        assert await unit.run_events.count(run.id) == 3


async def test_what_a_change_returns_is_read_as_its_columns_say(database: Database, run: Run) -> None:
    """Of a call that is closed, what it held of budgets."""
    entry = an_entry(run)
    held = (Reservation(new_id(), NOON, 5),)
    async with database.unit(run.tenant_id) as unit:
        await unit.ledger.open(entry)
        await unit._executor.change(unit.ledger._row(entry.id), {"reservations": held})
        await unit.together(unit.ledger.closing(entry.id, **CALL_END))
        assert unit.ledger._due == [(held[0], 0)]


async def test_a_whole_turn_begins_at_once(database: Database, conversation: Conversation) -> None:
    run = a_run(conversation)
    async with database.unit(run.tenant_id) as unit:
        await unit.conversations.get_for_update(conversation.id)
        await unit.together(
            unit.conversations.advancing(conversation.id, 2, at=LATER),
            unit.runs.adding(run, owner="me", lease_seconds=30),
            unit.messages.adding(a_message(conversation, 1), an_answer(conversation, 2)),
            unit.ledger.opening(an_entry(run)),
        )
    async with database.unit(run.tenant_id, read_only=True) as unit:
        stored = await unit.conversations.get(conversation.id)
        assert (stored.message_count, stored.last_message_at) == (2, LATER)
        assert await unit.runs.next_ordinal(conversation.id) == 2
        assert [message.position for message in await unit.messages.list(conversation.id, limit=9)] == [1, 2]
        assert len(await unit.ledger.list(run.id)) == 1


async def test_a_second_run_is_a_conflict(database: Database, run: Run, conversation: Conversation) -> None:
    with pytest.raises(Conflict) as caught:
        async with database.unit(run.tenant_id) as unit:
            await unit.together(
                unit.conversations.advancing(conversation.id, 2, at=LATER),
                unit.runs.adding(a_run(conversation), owner="me", lease_seconds=30),
            )
    assert caught.value.problem_code == "conversation_busy"
    async with database.unit(run.tenant_id, read_only=True) as unit:
        assert (await unit.conversations.get(conversation.id)).message_count == 0


async def test_a_conversation_that_is_gone_is_noticed(database: Database, conversation: Conversation) -> None:
    lost = msgspec.structs.replace(conversation, id=new_id())
    for change in ("move", "message"):
        with pytest.raises(NotFound) as caught:
            async with database.unit(conversation.tenant_id) as unit:
                await unit.together(
                    unit.conversations.advancing(lost.id, 1, at=LATER)
                    if change == "move"
                    else unit.messages.adding(a_message(lost, 1)),
                    missing="There is no such conversation.",
                )
        assert caught.value.detail == "There is no such conversation."


async def test_events_of_several_runs_are_fenced_each_by_its_own(
    database: Database, run: Run, conversation: Conversation
) -> None:
    other = msgspec.structs.replace(conversation, id=new_id(), external_id=None)
    async with database.unit(run.tenant_id) as unit:
        await unit.conversations.add(other)
        await unit.runs.add(second := a_run(other), owner="me", lease_seconds=30)
        told = await unit.together(
            unit.run_events.adding(run.id, 1, deltas(run.id, 1, 3, 2)),
            unit.run_events.adding(second.id, 2, deltas(second.id, 2, 1, 2)),
            unit.run_events.adding(second.id, 1, deltas(second.id, 1, 1, 1)),
        )
        assert told == [True, False, True]
        assert [await unit.run_events.count(each.id) for each in (run, second)] == [4, 1]


async def test_another_tenants_row_is_refused_before_anything_is_sent(
    database: Database, conversation: Conversation
) -> None:
    async with database.unit(new_id()) as unit:
        with pytest.raises(InternalError):
            unit.messages.adding(a_message(conversation, 1))
        with pytest.raises(InternalError):
            unit.runs.adding(a_run(conversation), owner=None, lease_seconds=0)
        with pytest.raises(InternalError):
            unit.ledger.opening(an_entry(a_run(conversation)))


async def test_a_unit_that_only_reads_refuses(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id, read_only=True) as unit:
        with pytest.raises(InternalError):
            await unit.together(unit.runs.finishing(run.id, 1, **RUN_END))


async def test_a_value_that_fits_no_column_is_a_fault(database: Database, run: Run, conversation: Conversation) -> None:
    naive = LATER.replace(tzinfo=None)
    with pytest.raises(StorageFailed):
        async with database.unit(run.tenant_id) as unit:
            await unit.together(
                unit.runs.finishing(run.id, 1, **RUN_END), unit.conversations.advancing(conversation.id, 1, at=naive)
            )
    async with database.unit(run.tenant_id, read_only=True) as unit:
        assert (await unit.runs.get(run.id)).finished_at is None


async def test_whoever_is_cancelled_meanwhile_leaves_nothing_behind(
    database: Database, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    is_asked = asyncio.Event()
    drivers: list[Any] = []

    async def never(_: Any, driver: Any, _parts: Any) -> Any:
        drivers.append(driver)
        is_asked.set()
        await asyncio.get_running_loop().create_future()

    async def end() -> None:
        async with database.unit(run.tenant_id) as unit:
            await unit.together(unit.runs.finishing(run.id, 1, **RUN_END))

    with monkeypatch.context() as patch:
        patch.setattr(type(database._dialect), "together", never)
        task = asyncio.create_task(end())
        await is_asked.wait()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    async with database.unit(run.tenant_id) as unit:
        assert unit._executor.connection.driver is not drivers[0]
        assert await unit.runs.finish(run.id, 1, **RUN_END)


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
async def test_it_is_one_statement_of_postgresql(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        heard: list[str] = []
        unit._executor.connection.driver.add_query_logger(lambda record: heard.append(record.query))
        changes = (
            unit.runs.finishing(run.id, 1, **RUN_END),
            unit.messages.finishing(run.message_id, **ANSWER_END),
            unit.run_events.adding_last(run.id, 1, [an_end(run, 3)]),
        )
        await unit.together(*changes)
        await asyncio.sleep(0)
    assert len(heard) == 1


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
async def test_the_longest_is_short_enough_to_be_kept_by_the_driver(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        changes = [unit.run_events.adding(run.id, 1, deltas(run.id, 1, first, 1)) for first in range(3, 3 + AT_ONCE)]
        assert len(Joint([change.asked.prepared for change in changes]).sql) < KEPT


@sqlite_only
async def test_it_is_one_visit_to_the_thread_of_sqlite_and_begins_the_transaction(
    database: Database, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.unit(run.tenant_id) as unit:
        visits = visits_of(unit, monkeypatch)
        await unit.together(
            unit.runs.finishing(run.id, 1, **RUN_END), unit.messages.finishing(run.message_id, **ANSWER_END)
        )
        assert len(visits) == 1
        assert unit._executor.connection.driver.in_transaction
    assert len(visits) == 2


FIRST: dict[str, Callable[[Unit, Run], Awaitable[Any]]] = {
    "a read": lambda unit, run: unit.messages.get(run.message_id),
    "a change": lambda unit, run: unit.messages.finish(run.message_id, **ANSWER_END),
    "a statement that is not prepared": lambda unit, _: unit.clock(),
    "changes together": lambda unit, run: unit.together(unit.messages.finishing(run.message_id, **ANSWER_END)),
}


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("first", FIRST)
async def test_whatever_comes_first_begins_the_transaction(database: Database, run: Run, first: str) -> None:
    async def begin_and_fail() -> None:
        async with database.unit(run.tenant_id) as unit:
            await FIRST[first](unit, run)
            assert unit._executor.connection.driver.in_transaction
            await unit.messages.finish(run.message_id, **ANSWER_END)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await begin_and_fail()
    async with database.unit(run.tenant_id, read_only=True) as unit:
        assert (await unit.messages.get(run.message_id)).status is not MessageStatus.COMPLETED


@pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("fails", [False, True])
async def test_who_asks_nothing_begins_and_ends_nothing(
    database: Database, run: Run, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    visits: list[Any] = []
    with suppress(ZeroDivisionError):
        async with database.unit(run.tenant_id) as unit:
            visits = visits_of(unit, monkeypatch)
            assert 1 / (not fails)
    assert not visits


async def test_after_an_error_the_transaction_comes_to_nothing(
    database: Database, run: Run, conversation: Conversation
) -> None:
    with pytest.raises(RetinueError):
        async with database.unit(run.tenant_id) as unit:
            await unit.together(
                unit.runs.finishing(run.id, 1, **RUN_END),
                unit.messages.adding(a_message(msgspec.structs.replace(conversation, id=new_id()), 5)),
            )
    async with database.unit(run.tenant_id, read_only=True) as unit:
        assert (await unit.runs.get(run.id)).finished_at is None
