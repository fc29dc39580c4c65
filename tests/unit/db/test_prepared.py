"""Statements that are built once: for everybody, and yet for whoever asks only."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID

import msgspec
import pytest
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.prepared import prepared
from retinue.db.repositories.base import TenantRepository
from retinue.db.session import Database
from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.errors import InternalError
from retinue.domain.ids import new_id
from retinue.domain.limits import NO_BOUNDS, Bounds, Limits
from tests.contract.repositories.builders import a_conversation, a_tenant, an_employee
from tests.support.roles import open_database


class Desk(TenantRepository):
    """A repository of its own kind."""

    built: list[tuple[Any, ...]]

    async def titles(self, *statuses: ConversationStatus, newest_first: bool = False) -> Sequence[str | None]:
        asked = self._with_status(statuses, newest_first=newest_first)
        return [row.title for row in await self._executor.rows(asked)]

    @prepared
    def _with_status(self, statuses: tuple[ConversationStatus, ...], *, newest_first: bool) -> sa.Select[Any]:
        self.built.append((len(statuses), newest_first))
        statement = self._select(t.Conversation).where(t.Conversation.status.in_(statuses))
        return statement.order_by(t.Conversation.id.desc() if newest_first else t.Conversation.id)

    async def rename(self, conversation_id: UUID, **columns: Any) -> int:
        return await self._executor.change(self._with_id(conversation_id), columns)

    async def close(self, conversation_id: UUID) -> int:
        return await self._executor.change(self._closed(conversation_id))

    @prepared
    def _with_id(self, conversation_id: UUID) -> sa.Update:
        return self._update(t.Conversation).where(t.Conversation.id == conversation_id)

    @prepared
    def _closed(self, conversation_id: UUID) -> sa.Update:
        statement = self._update(t.Conversation).where(t.Conversation.id == conversation_id)
        return statement.values(status=ConversationStatus.CLOSED, title=None)


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    database = open_database(migrated_url)
    vars(database._dialect).pop("prepared", None)
    yield database
    await database.aclose()


@pytest.fixture
async def theirs(database: Database) -> list[Conversation]:
    """Two conversations of one tenant, and one of another."""
    Desk.built = []
    found = []
    for count in (2, 1):
        tenant = a_tenant(slug=f"tenant-{count}")
        async with database.operator() as operator:
            await operator.tenants.add(tenant)
        async with database.unit(tenant.id) as unit:
            employee = an_employee(tenant)
            await unit.employees.add(employee)
            for number in range(count):
                one = a_conversation(employee, external_id=None)
                found.append(msgspec.structs.replace(one, title=f"{count}.{number}"))
                await unit.conversations.add(found[-1])
    return found


def desk(unit: Any) -> Desk:
    return Desk(unit.tenant_id, unit._executor)


async def test_one_statement_serves_all_tenants_and_each_finds_its_own(
    database: Database, theirs: list[Conversation]
) -> None:
    for _ in range(2):
        async with database.unit(theirs[0].tenant_id, read_only=True) as unit:
            assert await desk(unit).titles(ConversationStatus.ACTIVE) == ["2.0", "2.1"]
        async with database.unit(theirs[2].tenant_id, read_only=True) as unit:
            assert await desk(unit).titles(ConversationStatus.ACTIVE) == ["1.0"]
    assert len(Desk.built) <= 1, "tests of one process may have built it before"


async def test_parts_and_lengths_make_other_statements(database: Database, theirs: list[Conversation]) -> None:
    async with database.unit(theirs[0].tenant_id, read_only=True) as unit:
        active, closed = ConversationStatus.ACTIVE, ConversationStatus.CLOSED
        assert await desk(unit).titles(active, newest_first=True) == ["2.1", "2.0"]
        assert await desk(unit).titles(closed) == []
        assert await desk(unit).titles(closed, active) == ["2.0", "2.1"]
        assert await desk(unit).titles() == []


async def test_what_is_set_is_set_in_the_own_row_only(database: Database, theirs: list[Conversation]) -> None:
    first, second, other = theirs
    async with database.unit(first.tenant_id) as unit:
        assert await desk(unit).rename(first.id, title="a", external_id="x") == 1
        assert await desk(unit).rename(second.id, title=None) == 1
        assert await desk(unit).rename(other.id, title="mine") == 0
        assert await desk(unit).titles(ConversationStatus.ACTIVE) == ["a", None]
    async with database.unit(other.tenant_id) as unit:
        assert await desk(unit).titles(ConversationStatus.ACTIVE) == ["1.0"]


async def test_values_that_are_part_of_the_statement(database: Database, theirs: list[Conversation]) -> None:
    async with database.unit(theirs[0].tenant_id) as unit:
        assert await desk(unit).close(theirs[0].id) == 1
        assert await desk(unit).titles(ConversationStatus.CLOSED) == [None]


async def test_every_value_has_its_place(database: Database, theirs: list[Conversation]) -> None:
    ask: Any = desk
    async with database.unit(theirs[0].tenant_id, read_only=True) as unit:
        for few_or_many in ((), (theirs[0].id, "a")):
            with pytest.raises(TypeError, match="takes 1 value"):
                ask(unit)._with_id(*few_or_many)


async def test_a_unit_that_only_reads_refuses_to_write(database: Database, theirs: list[Conversation]) -> None:
    async with database.unit(theirs[0].tenant_id, read_only=True) as unit:
        with pytest.raises(InternalError):
            await desk(unit).rename(theirs[0].id, title="a")
        with pytest.raises(InternalError):
            await unit.conversations.get_for_update(theirs[0].id)


async def test_a_connection_whose_answer_nobody_waited_for_is_not_used_again(
    database: Database, theirs: list[Conversation], monkeypatch: pytest.MonkeyPatch
) -> None:
    is_asked = asyncio.Event()
    drivers: list[Any] = []

    async def never(driver: Any, *_: Any) -> Any:
        drivers.append(driver)
        is_asked.set()
        await asyncio.get_running_loop().create_future()

    async def ask() -> None:
        async with database.unit(theirs[0].tenant_id, read_only=True) as unit:
            await unit.conversations.find(new_id())

    with monkeypatch.context() as patch:
        patch.setattr(type(database._dialect), "fetch", lambda _, *args: never(*args))
        task = asyncio.create_task(ask())
        await is_asked.wait()
        task.cancel()
        await asyncio.wait([task])
    assert task.cancelled()
    assert database.connections()[0] == 0
    async with database.unit(theirs[0].tenant_id, read_only=True) as unit:
        raw = await unit._executor.connection.sqlalchemy.get_raw_connection()
        assert raw.driver_connection is not drivers[0]
        assert await unit.conversations.find(theirs[0].id) == theirs[0]


async def test_what_is_asked_across_tenants_is_built_once_for_each_of_its_parts(database: Database) -> None:
    known = database._dialect.prepared
    bounded = Limits(tenant=Bounds(concurrent_runs=7))
    for defaults in (NO_BOUNDS, bounded):
        for limit in (1, 9):
            async with database.operator(read_only=True) as operator:
                before = len(known)
                assert await operator.startable_conversations(limit, defaults) == []
                assert await operator.active_runs_with_expired_lease(limit, defaults) == []
                assert await operator.expired_waits(limit) == []
                assert limit == 1 or len(known) == before
