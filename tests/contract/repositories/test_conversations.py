"""Conversations."""

import asyncio
from uuid import UUID

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.employees import Employee
from retinue.domain.errors import Conflict, NotFound
from retinue.domain.ids import new_id
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import (
    LATER,
    NOON,
    a_call,
    a_checkpoint,
    a_conversation,
    a_grant,
    a_message,
    a_run,
    an_approval,
    an_employee,
    an_entry,
    deltas,
)


async def test_a_conversation_comes_back_as_it_went_in(database: Database, employee: Employee) -> None:
    conversation = a_conversation(employee, external_id="thread-1")
    async with database.unit(employee.tenant_id) as unit:
        await unit.conversations.add(conversation)
        assert await unit.conversations.get(conversation.id) == conversation
        assert await unit.conversations.find_by_external_id("thread-1") == conversation
        assert await unit.conversations.find_by_external_id("thread-2") is None


async def test_an_external_id_is_taken_once_in_a_tenant(database: Database, employee: Employee) -> None:
    unnamed = a_conversation(employee)
    async with database.unit(employee.tenant_id) as unit:
        await unit.conversations.add(a_conversation(employee, external_id="x"))
        await unit.conversations.add(unnamed)
        await unit.conversations.add(a_conversation(employee))  # having none is no name
    with pytest.raises(Conflict) as adding:
        async with database.unit(employee.tenant_id) as unit:
            await unit.conversations.add(a_conversation(employee, external_id="x"))
    with pytest.raises(Conflict) as renaming:
        async with database.unit(employee.tenant_id) as unit:
            await unit.conversations.update(msgspec.structs.replace(unnamed, external_id="x"))
    assert adding.value.problem_code == renaming.value.problem_code == "external_id_taken"


async def test_a_foreign_employee_is_not_found(database: Database, tenant: Tenant, neighbour: Tenant) -> None:
    theirs = an_employee(neighbour)
    async with database.unit(neighbour.id) as unit:
        await unit.employees.add(theirs)
    for employee in (msgspec.structs.replace(theirs, tenant_id=tenant.id), an_employee(tenant)):
        with pytest.raises(NotFound):
            async with database.unit(tenant.id) as unit:
                await unit.conversations.add(a_conversation(employee))


async def test_advancing_reserves_positions(database: Database, conversation: Conversation) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        assert await unit.conversations.advance(conversation.id, 1, at=LATER) == (1, LATER)
        assert await unit.conversations.advance(conversation.id, 2, at=LATER) == (2, LATER)
        assert await unit.conversations.advance(conversation.id, 1, at=LATER) == (4, LATER)
        stored = await unit.conversations.get(conversation.id)
        with pytest.raises(NotFound):
            await unit.conversations.advance(new_id(), 1)
    assert (stored.message_count, stored.last_message_at, stored.updated_at) == (4, LATER, LATER)


async def test_new_messages_come_at_the_databases_time(
    database: Database, conversation: Conversation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the clock of the process says."""
    monkeypatch.setattr("retinue.domain.ids.now", lambda: NOON)
    async with database.unit(conversation.tenant_id) as unit:
        before = await unit.clock()
        place = await unit.conversations.advance(conversation.id, 1)
        assert before <= place.at <= await unit.clock()
        assert (await unit.conversations.get(conversation.id)).last_message_at == place.at


async def test_concurrent_writers_never_share_a_position(database: Database, conversation: Conversation) -> None:
    async def reserve() -> int:
        async with database.unit(conversation.tenant_id) as unit:
            return (await unit.conversations.advance(conversation.id, 2)).position

    firsts = await asyncio.gather(*(reserve() for _ in range(20)))
    assert sorted(firsts) == list(range(1, 41, 2))


async def test_updating_leaves_the_count_alone(database: Database, conversation: Conversation) -> None:
    changed = msgspec.structs.replace(
        conversation, title=None, status=ConversationStatus.CLOSED, external_id="e", updated_at=LATER
    )
    async with database.unit(conversation.tenant_id) as unit:
        await unit.conversations.advance(conversation.id, 3, at=NOON)
        await unit.conversations.update(changed)
        stored = await unit.conversations.get(conversation.id)
        with pytest.raises(NotFound):
            await unit.conversations.update(msgspec.structs.replace(changed, id=new_id()))
    assert stored == msgspec.structs.replace(changed, message_count=3, last_message_at=NOON)


async def test_the_list_is_filtered_newest_first_and_goes_on(
    database: Database, tenant: Tenant, employee: Employee
) -> None:
    bob = an_employee(tenant, slug="bob")
    async with database.unit(tenant.id) as unit:
        await unit.employees.add(bob)
        made = [
            a_conversation(
                (employee, bob)[n % 2],
                user_id=f"user-{n // 3}",
                status=ConversationStatus.CLOSED if n == 4 else ConversationStatus.ACTIVE,
                external_id=f"x{n}",
            )
            for n in range(6)
        ]
        for conversation in made:
            await unit.conversations.add(conversation)
        newest = made[::-1]
        first = await unit.conversations.list(limit=4)
        await unit.conversations.delete(first[-1].id)
        rest = await unit.conversations.list(limit=4, after=first[-1].id)
        assert [*first, *rest] == newest
        assert await unit.conversations.list(limit=9, employee_id=bob.id) == made[5::-2]
        assert await unit.conversations.list(limit=9, user_id="user-1") == made[5:2:-1]
        assert await unit.conversations.list(limit=9, status=ConversationStatus.CLOSED) == [made[4]]
        assert await unit.conversations.list(limit=9, external_id="x1") == [made[1]]


async def test_deleting_a_conversation_keeps_only_the_ledger_and_the_audit_trail(
    database: Database, conversation: Conversation
) -> None:
    run, message = a_run(conversation), a_message(conversation, 1)
    approval = an_approval(run)
    async with database.unit(conversation.tenant_id) as unit:
        await unit.messages.add(message)
        await unit.runs.add(run, owner="me", lease_seconds=30)
        assert await unit.run_events.add(run.id, 1, deltas(run.id, 1, 1, 3))
        await unit.checkpoints.add(a_checkpoint(run, 1), 1)
        await unit.tool_calls.add(run.id, [a_call(run, 1)])
        await unit.approvals.add(approval)
        await unit.grants.add(a_grant(approval))
        await unit.audit.record("conversation.created", object_type="conversation", object_id=str(conversation.id))
        await unit.ledger.open(an_entry(run))
    async with database.unit(conversation.tenant_id) as unit:
        await unit.conversations.delete(conversation.id)
    async with database.unit(conversation.tenant_id, read_only=True) as unit:
        assert await unit.conversations.find(conversation.id) is None
        assert await unit.messages.find(message.id) is None
        assert await unit.runs.find(run.id) is None
        assert await unit.run_events.read(run.id) == []
        assert await unit.checkpoints.list(run.id) == []
        assert await unit.tool_calls.list(run.id) == []
        assert await unit.approvals.find(approval.id) is None
        assert await unit.grants.list(conversation.id) == []
        assert len(await unit.ledger.list(run.id)) == 1
        assert len(await unit.audit.list(limit=9)) == 1


async def test_deleting_twice_is_not_found(database: Database, conversation: Conversation) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        await unit.conversations.delete(conversation.id)
        with pytest.raises(NotFound):
            await unit.conversations.delete(conversation.id)
        with pytest.raises(NotFound):
            await unit.conversations.get(UUID(int=0))
