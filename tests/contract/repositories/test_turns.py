"""What is there when a message comes, read at once."""

import asyncio
from typing import Any

import msgspec
import pytest

from retinue.db.repositories.turns import Scene
from retinue.db.session import Database, Unit
from retinue.domain.conversations import Conversation
from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from retinue.domain.runs import RunStatus
from retinue.domain.tenants import Tenant
from tests.contract.repositories.belongings import A_PRICE
from tests.contract.repositories.builders import (
    LATER,
    a_config,
    a_conversation,
    a_message,
    a_run,
    an_employee,
    seconds_ago,
)
from tests.contract.repositories.conftest import Add
from tests.contract.repositories.visits import sqlite_only, visits_of
from tests.support.statements import listening

TTL = 1800.0


async def enter(unit: Unit, conversation: Conversation, **changes: Any) -> Scene:
    given = {"key_id": None, "default_ttl_seconds": TTL, "counts": True, "max_history": 9, **changes}
    return await unit.turns.enter(conversation.id, **given)


@pytest.mark.parametrize("counts", [True, False])
async def test_it_is_the_same_as_if_it_were_read_one_by_one(
    database: Database, add_run: Add, tenant: Tenant, conversation: Conversation, *, counts: bool
) -> None:
    other = msgspec.structs.replace(conversation, id=new_id(), external_id=None, user_id="bob")
    key_id = new_id()
    async with database.unit(tenant.id) as unit:
        await unit.config.put(a_config(tenant))
        await unit.prices.replace([A_PRICE])
        await unit.conversations.add(other)
        await unit.conversations.advance(conversation.id, 1, at=seconds_ago(100))
        await unit.messages.add(a_message(conversation, 1))
    await add_run(a_run(conversation, status=RunStatus.COMPLETED, ordinal=1, finished_at=seconds_ago(50)))
    await add_run(a_run(other, key_id=key_id, user_id="bob"))
    for where, ttl in ((conversation, 10), (conversation, TTL), (other, TTL)):
        async with database.unit(tenant.id) as unit:
            scene = await enter(unit, where, key_id=key_id, default_ttl_seconds=ttl, counts=counts)
            assert scene.conversation == await unit.conversations.get(where.id)
            session = await unit.conversations.session(where.id, ttl)
            assert (scene.session.is_busy, scene.session.has_expired) == (session.is_busy, session.has_expired)
            used = await unit.limits.count_runs(key_id=key_id, user_id=where.user_id)
            assert scene.used == (used if counts else None)
            assert scene.cast.config == await unit.config.get()
            assert scene.cast.employee == await unit.employees.get(where.employee_id)
            said = await unit.messages.history(where.id, before_position=9, max_messages=9)
            is_read = not scene.session.is_busy and not scene.session.has_expired
            assert scene.cast.history == (said if is_read else None)
            assert [each.content for each in said] == (["message 1"] if where is conversation else [])


async def test_its_time_is_the_databases(database: Database, conversation: Conversation) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        before = await unit.clock()
        scene = await enter(unit, conversation)
        assert before <= scene.session.now <= await unit.clock()


async def test_what_is_not_there_is_none(database: Database, conversation: Conversation) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        await unit.employees.delete(conversation.employee_id, at=LATER)
        scene = await enter(unit, conversation)
        assert (scene.cast.config, scene.cast.employee) == (None, None)
        with pytest.raises(NotFound):
            await enter(unit, msgspec.structs.replace(conversation, id=new_id()))


async def test_it_takes_three_statements(database: Database, conversation: Conversation) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        with listening() as heard:
            await enter(unit, conversation)
    assert len(heard) == 3


@sqlite_only
async def test_it_is_one_visit_to_the_thread_of_sqlite(
    database: Database, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        visits = visits_of(unit, monkeypatch)
        await enter(unit, conversation)
        assert len(visits) == 1


class Leader:
    """Is in a unit until it may end."""

    def __init__(self, database: Database, conversation: Conversation) -> None:
        self._database, self._conversation = database, conversation
        self._is_inside, self.may_end = asyncio.Event(), asyncio.Event()

    async def begin(self) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._lead())
        await self._is_inside.wait()
        return task

    async def _lead(self) -> None:
        async with self._database.unit(self._conversation.tenant_id) as unit:
            await enter(unit, self._conversation)
            self._is_inside.set()
            await self.may_end.wait()
            await unit.runs.add(a_run(self._conversation), owner="me", lease_seconds=30)


@pytest.fixture
async def other(database: Database, conversation: Conversation) -> Conversation:
    """Another one of the tenant."""
    other = msgspec.structs.replace(conversation, id=new_id(), external_id=None)
    async with database.unit(conversation.tenant_id) as unit:
        await unit.conversations.add(other)
    return other


async def look(database: Database, where: Conversation, *, counts: bool = True) -> Scene:
    async with database.unit(where.tenant_id) as unit:
        return await enter(unit, where, counts=counts)


async def test_who_waited_sees_what_was_stored_meanwhile(
    database: Database, conversation: Conversation, other: Conversation
) -> None:
    leader = Leader(database, conversation)
    async with asyncio.timeout(20):
        leading = await leader.begin()
        looks = [asyncio.create_task(look(database, where)) for where in (conversation, other)]
        done, _ = await asyncio.wait(looks, timeout=0.2)
        assert not done, "they wait"
        leader.may_end.set()
        there, elsewhere = await asyncio.gather(*looks)
        await leading
    assert (there.session.is_busy, elsewhere.session.is_busy) == (True, False)
    assert [scene.used and scene.used.tenant for scene in (there, elsewhere)] == [1, 1]


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
async def test_without_counting_nobody_waits_for_the_tenants_slots(
    database: Database, conversation: Conversation, other: Conversation
) -> None:
    leader = Leader(database, conversation)
    async with asyncio.timeout(5):
        leading = await leader.begin()
        await look(database, other, counts=False)
        leader.may_end.set()
        await leading


async def test_an_employee_of_another_conversation_is_not_taken(
    database: Database, tenant: Tenant, conversation: Conversation
) -> None:
    async with database.unit(tenant.id) as unit:
        await unit.employees.add(another := an_employee(tenant, slug="another"))
        await unit.conversations.add(theirs := a_conversation(another, external_id=None))
        assert (await enter(unit, theirs)).cast.employee == await unit.employees.get(another.id)
        assert (await enter(unit, conversation)).cast.employee == await unit.employees.get(conversation.employee_id)
