"""What a unit of work promises: all or nothing, no database exception outside, nobody locked out."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import nullcontext

import pytest
import sqlalchemy as sa

from retinue.db.session import Database, Unit
from retinue.domain.conversations import Conversation
from retinue.domain.errors import Conflict, InternalError, NotFound, RetinueError, StorageFailed, Unavailable
from retinue.domain.ids import new_id
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import a_message, a_tenant, an_employee
from tests.support.roles import open_database


async def test_an_error_undoes_everything(database: Database, conversation: Conversation) -> None:
    async def fail_after_writing() -> None:
        async with database.unit(conversation.tenant_id) as unit:
            await unit.conversations.advance(conversation.id, 1)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail_after_writing()
    await assert_untouched(database, conversation)


async def test_a_cancelled_unit_is_undone_and_blocks_nobody(database: Database, conversation: Conversation) -> None:
    is_inside = asyncio.Event()

    async def hang() -> None:
        async with database.unit(conversation.tenant_id) as unit:
            await unit.conversations.advance(conversation.id, 1)
            is_inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    await is_inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await assert_untouched(database, conversation)


async def test_cancelling_at_any_moment_leaks_no_connection(database: Database, conversation: Conversation) -> None:
    async def work() -> None:
        async with database.unit(conversation.tenant_id) as unit:
            await unit.conversations.advance(conversation.id, 1)
            await unit.messages.list(conversation.id, limit=1)

    for yields in range(40):
        task = asyncio.create_task(work())
        for _ in range(yields):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    async with asyncio.timeout(20):
        await asyncio.gather(*(work() for _ in range(8)))


async def test_many_writers_queue_and_none_fails(database: Database, tenant: Tenant) -> None:
    async def hire(number: int) -> None:
        async with database.unit(tenant.id) as unit:
            await unit.employees.list(limit=1)  # a read first: on SQLite the classical way into "database is locked"
            await unit.employees.add(an_employee(tenant, slug=f"e{number}"))

    await asyncio.gather(*(hire(number) for number in range(60)))
    async with database.unit(tenant.id, read_only=True) as unit:
        assert len(await unit.employees.list(limit=100)) == 60


async def test_a_second_process_queues_too(migrated_url: str, database: Database, tenant: Tenant) -> None:
    other = open_database(migrated_url, pool_size=3, command_timeout=10.0)

    async def hire(place: Database, number: int) -> None:
        async with place.unit(tenant.id) as unit:
            await unit.employees.add(an_employee(tenant, slug=f"e{number}"))

    try:
        await asyncio.gather(*(hire((database, other)[number % 2], number) for number in range(20)))
    finally:
        await other.aclose()


async def test_readers_do_not_wait_for_a_writer(database: Database, conversation: Conversation) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        is_written, is_read = asyncio.Event(), asyncio.Event()

        async def write() -> None:
            async with database.unit(conversation.tenant_id) as unit:
                await unit.conversations.advance(conversation.id, 1)
                is_written.set()
                await is_read.wait()

        group.create_task(write())
        await is_written.wait()
        await assert_untouched(database, conversation)
        is_read.set()


async def test_a_reading_unit_refuses_to_write(database: Database, conversation: Conversation) -> None:
    async with database.unit(conversation.tenant_id, read_only=True) as unit:
        for act in (
            unit.conversations.advance(conversation.id, 1),
            unit.employees.lock_for_start(conversation.employee_id),
            unit.conversations.delete(conversation.id),
        ):
            with pytest.raises(InternalError):
                await act
    await assert_untouched(database, conversation)


async def test_a_unit_inside_a_unit_is_refused(database: Database, conversation: Conversation) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        with pytest.raises(InternalError):
            async with database.unit(conversation.tenant_id):
                pass
        await unit.conversations.get(conversation.id)
    async with database.unit(conversation.tenant_id, read_only=True) as unit:
        await unit.conversations.get(conversation.id)


async def test_a_pool_without_a_free_connection_is_unavailable(migrated_url: str, tenant: Tenant) -> None:
    database = open_database(migrated_url, pool_size=1, jobs_pool_size=1, command_timeout=0.2)
    is_held, is_tried = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with database.operator():
            is_held.set()
            await is_tried.wait()

    try:
        async with asyncio.timeout(10), asyncio.TaskGroup() as group:
            group.create_task(hold())
            await is_held.wait()
            for read_only in (False, True):
                with pytest.raises(Unavailable):
                    await database.operator(read_only=read_only).__aenter__()
            is_tried.set()
    finally:
        await database.aclose()


async def _missing_table(database: Database, unit: Unit) -> None:
    await unit._executor.rows(sa.select(sa.text("x")).select_from(sa.text("no_such_table")))


async def _wrong_value(database: Database, unit: Unit) -> None:
    await unit.employees.add(an_employee(a_tenant(id=unit.tenant_id), created_at="yesterday"))


async def _naive_time(database: Database, unit: Unit) -> None:
    naive = a_tenant().created_at.replace(tzinfo=None)
    await unit.employees.add(an_employee(a_tenant(id=unit.tenant_id), created_at=naive))


async def _null(database: Database, unit: Unit) -> None:
    await unit.employees.add(an_employee(a_tenant(id=unit.tenant_id), name=None))


@pytest.mark.parametrize("provoke", [_missing_table, _wrong_value, _naive_time, _null])
async def test_no_database_exception_escapes(
    database: Database, tenant: Tenant, provoke: Callable[[Database, Unit], Awaitable[None]]
) -> None:
    with pytest.raises(StorageFailed) as caught:
        async with database.unit(tenant.id) as unit:
            await provoke(database, unit)
    assert caught.value.detail == StorageFailed.title, "nothing of the database's words"


async def test_a_unit_that_met_an_error_still_ends_cleanly(database: Database, conversation: Conversation) -> None:
    """On PostgreSQL the transaction is broken after the first error, and nobody may believe that it was committed."""
    seen: list[RetinueError] = []
    with nullcontext() if database.is_sqlite else pytest.raises(StorageFailed):
        async with database.unit(conversation.tenant_id) as unit:
            for _ in range(2):
                try:
                    await unit.messages.add(a_message(conversation, 1, conversation_id=new_id()))
                except RetinueError as error:
                    seen.append(error)
    assert isinstance(seen[0], NotFound)
    assert not any(isinstance(error, Conflict) for error in seen)
    async with database.unit(conversation.tenant_id) as unit:
        await unit.messages.add(a_message(conversation, 1))


async def test_ping_answers(database: Database) -> None:
    await database.ping()


async def assert_untouched(database: Database, conversation: Conversation) -> None:
    async with database.unit(conversation.tenant_id, read_only=True) as unit:
        assert await unit.conversations.get(conversation.id) == conversation
