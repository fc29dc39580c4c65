"""On PostgreSQL the tenant is set for one transaction and gone after it, however that ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.errors import RetinueError
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import a_message
from tests.support.roles import open_database

pytestmark = pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)

_SETTING = "SELECT coalesce(current_setting('retinue.tenant_id', true), '')"
_PLACE = "SELECT pg_backend_pid()"


@pytest.fixture
async def narrow(migrated_url: str) -> AsyncIterator[Database]:
    """One connection for everything."""
    database = open_database(migrated_url, pool_size=1, command_timeout=10.0)
    yield database
    await database.aclose()


async def ask(database: Database, statement: str) -> Any:
    """On the application's connection, outside of every unit."""
    async with database._engine.connect() as connection:
        assert not driver_of(connection).is_in_transaction()
        return (await connection.exec_driver_sql(statement)).scalar_one()


async def well(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        await unit.employees.list(limit=1)


async def reading(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id, read_only=True) as unit:
        await unit.employees.list(limit=1)


async def durably(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id, is_durable=True) as unit:
        await unit.employees.list(limit=1)


async def failing(database: Database, tenant: Tenant) -> None:
    with suppress(KeyError):
        async with database.unit(tenant.id) as unit:
            await unit.employees.list(limit=1)
            raise KeyError


async def refused(database: Database, tenant: Tenant) -> None:
    with suppress(RetinueError):
        async with database.unit(tenant.id) as unit:
            await unit._executor.rows(sa.text("SELECT no_such_column"))


async def cancelled(database: Database, tenant: Tenant) -> None:
    """In the middle of a statement."""

    async def sleep() -> None:
        async with database.unit(tenant.id) as unit:
            has_begun.set()
            await unit._executor.rows(sa.text("SELECT pg_sleep(60)"))

    has_begun = asyncio.Event()
    await _cancelled(sleep(), has_begun)


async def cancelled_between(database: Database, tenant: Tenant) -> None:
    async def stand() -> None:
        async with database.unit(tenant.id, read_only=True) as unit:
            await unit.employees.list(limit=1)
            has_begun.set()
            await asyncio.Event().wait()

    has_begun = asyncio.Event()
    await _cancelled(stand(), has_begun)


async def _cancelled(work: Any, has_begun: asyncio.Event) -> None:
    task = asyncio.create_task(work)
    async with asyncio.timeout(10):
        await has_begun.wait()
        for _ in range(3):  # into the statement
            await asyncio.sleep(0)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


WAYS = [well, reading, durably, failing, refused, cancelled, cancelled_between]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_no_connection_keeps_a_tenant(
    narrow: Database, tenant: Tenant, way: Callable[[Database, Tenant], Awaitable[None]]
) -> None:
    await way(narrow, tenant)
    assert await ask(narrow, _SETTING) == ""
    await well(narrow, tenant)


async def test_a_transaction_that_comes_back_open_is_thrown_away(narrow: Database, tenant: Tenant) -> None:
    place = await ask(narrow, _PLACE)
    async with narrow._engine.connect() as connection:
        driver = driver_of(connection)
        await driver.execute(f"BEGIN; SET LOCAL retinue.tenant_id = '{tenant.id}'")
    assert await ask(narrow, _SETTING) == ""
    assert await ask(narrow, _PLACE) != place


async def test_nothing_is_stored_by_halves(narrow: Database, conversation: Conversation) -> None:
    """Cancelled ever later, until there is nothing left to cancel, while a unit stores two messages."""

    async def store(position: int) -> None:
        async with narrow.unit(conversation.tenant_id) as unit:
            for each in (position, position + 1):
                await unit.messages.add(a_message(conversation, each))

    is_too_late, turns, position = False, 1, 0
    while not is_too_late:
        turns, position = turns + max(8, turns // 8), position + 2
        task = asyncio.create_task(store(position))
        for _ in range(turns):
            await asyncio.sleep(0)
        is_too_late = task.done()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert await ask(narrow, _SETTING) == ""
    async with narrow.unit(conversation.tenant_id, read_only=True) as unit:
        stored = {message.position for message in await unit.messages.list(conversation.id, limit=1000)}
    assert {position ^ 1 for position in stored} == stored
    assert 0 < len(stored) < position


async def test_a_unit_takes_one_round_trip_more_at_each_end(narrow: Database, tenant: Tenant) -> None:
    async with narrow._engine.connect() as connection:
        heard = _said_on(connection)
    await reading(narrow, tenant)
    await asyncio.sleep(0)  # it is told of the last one after its answer
    assert heard == [f"BEGIN READ ONLY; SET LOCAL retinue.tenant_id = '{tenant.id}'", "COMMIT"]


async def test_what_is_asked_across_tenants_takes_no_more_than_its_statement(
    migrated_url: str, conversation: Conversation
) -> None:
    database = open_database(migrated_url, jobs_pool_size=1)
    async with database._jobs.connect() as connection:
        heard = _said_on(connection)
    async with database.operator(read_only=True) as operator:
        assert await operator.tenant_of_conversation(conversation.id) == conversation.tenant_id
    await asyncio.sleep(0)
    assert heard == []
    async with database.operator() as operator:
        await operator.tenant_of_conversation(conversation.id)
    await asyncio.sleep(0)
    assert heard == ["BEGIN", "COMMIT"]
    await database.aclose()


def driver_of(connection: AsyncConnection) -> Any:
    """The driver's own connection, which is open."""
    return connection.sync_connection.connection.driver_connection  # type: ignore[union-attr]


def _said_on(connection: AsyncConnection) -> list[str]:
    """All that is sent over the connection from now on, but for prepared statements."""
    heard: list[str] = []
    driver = driver_of(connection)
    driver.add_query_logger(lambda record: heard.append(record.query))
    return heard
