"""What is asked one after the other, and committed with the last of it where that is possible."""

import asyncio
import threading
from collections.abc import Callable

import pytest

from retinue.db.scripts import Script
from retinue.db.session import Database, Unit
from retinue.domain.audit import SYSTEM
from retinue.domain.conversations import Conversation
from retinue.domain.errors import InternalError, NotFound
from retinue.domain.ids import new_id
from tests.contract.repositories.builders import LATER, a_message
from tests.contract.repositories.visits import sqlite_only, visits_of


class Refused(Exception):
    pass


def growing(unit: Unit, conversation: Conversation, times: int = 2) -> Script[list[int]]:
    """Count messages, and look at the count each time."""
    counts: list[int] = []
    for _ in range(times):
        yield [unit.conversations.advancing(conversation.id, 1, at=LATER)]
        rows = yield unit.conversations._with_id(conversation.id)
        counts.append(rows[0].message_count)
    return counts


async def carry_out(
    database: Database, conversation: Conversation, script: Callable[[Unit], Script[None]], *, missing: str = ""
) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        await unit.end_with(script(unit), missing=missing)


async def count_now(database: Database, conversation: Conversation) -> int:
    async with database.unit(conversation.tenant_id, read_only=True) as unit:
        return (await unit.conversations.get(conversation.id)).message_count


async def test_each_step_sees_what_those_before_it_did(database: Database, conversation: Conversation) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        assert await unit.end_with(growing(unit, conversation)) == [1, 2]
    assert await count_now(database, conversation) == 2


@sqlite_only
async def test_all_of_it_is_one_visit_to_the_thread_of_sqlite(
    database: Database, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        visits = visits_of(unit, monkeypatch)
        await unit.end_with(growing(unit, conversation))
        assert not unit._executor.connection.driver.in_transaction
    assert len(visits) == 1
    assert await count_now(database, conversation) == 2


async def test_what_it_raises_undoes_it(database: Database, conversation: Conversation) -> None:
    def refused(unit: Unit) -> Script[None]:
        yield from growing(unit, conversation)
        raise Refused

    with pytest.raises(Refused):
        await carry_out(database, conversation, refused)
    assert await count_now(database, conversation) == 0


async def test_what_a_change_tells_undoes_it(database: Database, conversation: Conversation) -> None:
    def lost(unit: Unit) -> Script[None]:
        yield from growing(unit, conversation)
        yield [unit.conversations.advancing(new_id(), 1, at=LATER)]

    with pytest.raises(NotFound):
        await carry_out(database, conversation, lost)
    assert await count_now(database, conversation) == 0


async def test_what_the_database_refuses_undoes_it(database: Database, conversation: Conversation) -> None:
    def orphaned(unit: Unit) -> Script[None]:
        yield from growing(unit, conversation)
        yield [unit.messages.adding(a_message(conversation, 1, conversation_id=new_id()))]

    with pytest.raises(NotFound, match="no such thing"):
        await carry_out(database, conversation, orphaned, missing="There is no such thing.")
    assert await count_now(database, conversation) == 0


async def test_what_is_written_at_the_end_is_written_with_it(database: Database, conversation: Conversation) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        await unit.audit.record("a.b", object_type="c", object_id="d", payload={}, actor=SYSTEM)
        await unit.end_with(growing(unit, conversation))
    assert await count_now(database, conversation) == 2
    async with database.unit(conversation.tenant_id) as unit:
        assert [entry.action for entry in await unit.audit.list(limit=9)] == ["a.b"]


async def test_nothing_may_be_asked_after_it(database: Database, conversation: Conversation) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        await unit.end_with(growing(unit, conversation))
        with pytest.raises(InternalError):
            await unit.conversations.get(conversation.id)
        with pytest.raises(InternalError):
            await unit.clock()
        with pytest.raises(InternalError):
            await unit.end_with(growing(unit, conversation))
    assert await count_now(database, conversation) == 2


async def test_a_unit_that_only_reads_refuses_to_write(database: Database, conversation: Conversation) -> None:
    with pytest.raises(InternalError):
        async with database.unit(conversation.tenant_id, read_only=True) as unit:
            await unit.end_with(growing(unit, conversation))


@sqlite_only
async def test_who_is_cancelled_before_the_commit_leaves_nothing_behind(
    database: Database, conversation: Conversation
) -> None:
    loop, is_there, may_go_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def slow(unit: Unit) -> Script[None]:
        yield from growing(unit, conversation)
        loop.call_soon_threadsafe(is_there.set)
        may_go_on.wait()

    task = asyncio.create_task(carry_out(database, conversation, slow))
    await is_there.wait()
    task.cancel()
    loop.call_soon(may_go_on.set)
    await asyncio.wait([task])
    assert task.cancelled()
    assert await count_now(database, conversation) == 0
