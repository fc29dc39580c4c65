"""Runs that wait for their turn, and the order in which they start."""

from datetime import timedelta
from uuid import UUID

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.errors import StorageFailed
from retinue.domain.ids import new_id
from retinue.domain.runs import Run, RunStatus
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import LATER, NOON, a_conversation, a_run, an_employee
from tests.contract.repositories.conftest import Add
from tests.contract.repositories.test_runs import END


async def test_many_runs_may_wait_beside_the_one_that_started(
    database: Database, add_run: Add, conversation: Conversation, run: Run
) -> None:
    later, urgent, first, late_urgent = [
        await add_run(a_run(conversation, status=RunStatus.QUEUED, position=position, is_urgent=is_urgent))
        for position, is_urgent in ((9, False), (7, True), (5, False), (11, True))
    ]
    async with database.unit(conversation.tenant_id, read_only=True) as unit:
        assert await unit.runs.queued(conversation.id) == [urgent, late_urgent, first, later]
        assert await unit.runs.queued(new_id()) == []
        assert await unit.runs.active(conversation.id) == run


async def test_a_queued_run_starts_once(database: Database, add_run: Add, conversation: Conversation) -> None:
    queued = await add_run(a_run(conversation, status=RunStatus.QUEUED))
    async with database.unit(conversation.tenant_id) as unit:
        started = await unit.runs.start(queued.id, owner="me", lease_seconds=30, ordinal=1)
        assert started is not None
        assert started.started_at is not None
        expected = msgspec.structs.replace(queued, status=RunStatus.RUNNING, ordinal=1, started_at=started.started_at)
        assert started == expected == await unit.runs.get(queued.id)
        assert await unit.runs.start(queued.id, owner="you", lease_seconds=30, ordinal=2) is None
        assert await unit.runs.start(new_id(), owner="you", lease_seconds=30, ordinal=2) is None
    async with database.operator() as operator:
        assert await operator.renew_leases("me", {queued.id}, 30) == {queued.id}


async def test_a_run_that_was_withdrawn_does_not_start(
    database: Database, add_run: Add, conversation: Conversation
) -> None:
    queued = await add_run(a_run(conversation, status=RunStatus.QUEUED))
    async with database.unit(conversation.tenant_id) as unit:
        withdrawal = {**END, "status": RunStatus.CANCELLED, "finish_reason": "withdrawn"}
        assert await unit.runs.finish(queued.id, 1, **withdrawal, from_statuses=(RunStatus.QUEUED,), at=LATER)
        assert await unit.runs.start(queued.id, owner="me", lease_seconds=30, ordinal=1) is None
        assert await unit.runs.queued(conversation.id) == []


async def test_a_queued_run_waits_for_the_one_before(
    database: Database, add_run: Add, conversation: Conversation, run: Run
) -> None:
    queued = await add_run(a_run(conversation, status=RunStatus.QUEUED))
    async with database.unit(conversation.tenant_id) as unit:
        assert await unit.runs.start(queued.id, owner="me", lease_seconds=30, ordinal=2) is None
        assert await unit.runs.get(queued.id) == queued, "the transaction must stay usable"
        await unit.runs.finish(run.id, 1, **END, at=LATER)
        assert await unit.runs.start(queued.id, owner="me", lease_seconds=30, ordinal=2) is not None


async def test_a_queued_run_of_another_conversation_does_not_care(
    database: Database, add_run: Add, employee: Employee, run: Run
) -> None:
    other = a_conversation(employee)
    async with database.unit(employee.tenant_id) as unit:
        await unit.conversations.add(other)
    queued = await add_run(a_run(other, status=RunStatus.QUEUED))
    async with database.unit(employee.tenant_id) as unit:
        assert await unit.runs.start(queued.id, owner="me", lease_seconds=30, ordinal=1) is not None


async def test_nobody_takes_a_queued_run_for_lost(database: Database, add_run: Add, conversation: Conversation) -> None:
    queued = await add_run(a_run(conversation, status=RunStatus.QUEUED))
    async with database.unit(conversation.tenant_id) as unit:
        assert await unit.runs.claim(queued.id, 1, owner="you", lease_seconds=30) is None
    async with database.operator(read_only=True) as operator:
        assert await operator.active_runs_with_expired_lease(9) == []


async def test_started_runs_are_counted_in_their_order(
    database: Database, add_run: Add, conversation: Conversation
) -> None:
    queued = await add_run(a_run(conversation, status=RunStatus.QUEUED))
    runs = []
    for ordinal in (1, 2):
        async with database.unit(conversation.tenant_id, read_only=True) as unit:
            assert await unit.runs.next_ordinal(conversation.id) == ordinal
        run = await add_run(a_run(conversation))
        assert run.ordinal == ordinal, "a started run that names none gets the next"
        async with database.unit(conversation.tenant_id) as unit:
            await unit.runs.finish(run.id, 1, **END, at=LATER)
            runs.append(await unit.runs.get(run.id))
    async with database.unit(conversation.tenant_id) as unit:
        started = await unit.runs.start(queued.id, owner="me", lease_seconds=30, ordinal=3)
        found = [await unit.runs.next_started(conversation.id, after) for after in (0, 1, 2, 3)]
        assert found == [*runs, started, None]
        assert await unit.runs.next_ordinal(new_id()) == 1


async def test_the_order_of_starts_is_not_that_of_requests(
    database: Database, add_run: Add, conversation: Conversation
) -> None:
    runs = [await add_run(a_run(conversation, status=RunStatus.FAILED, ordinal=ordinal)) for ordinal in (3, 1, 2)]
    async with database.unit(conversation.tenant_id, read_only=True) as unit:
        found = [await unit.runs.next_started(conversation.id, after) for after in range(4)]
    assert found == [runs[1], runs[2], runs[0], None]


async def test_an_ordinal_is_given_once(add_run: Add, conversation: Conversation) -> None:
    await add_run(a_run(conversation, status=RunStatus.COMPLETED, ordinal=1))
    with pytest.raises(StorageFailed):
        await add_run(a_run(conversation, ordinal=1))


async def test_conversations_whose_next_run_can_start(
    database: Database, add_run: Add, employee: Employee, conversation: Conversation, run: Run
) -> None:
    waiting = [a_conversation(employee) for _ in range(2)]
    async with database.unit(employee.tenant_id) as unit:
        for other in waiting:
            await unit.conversations.add(other)
    await add_run(a_run(conversation, status=RunStatus.QUEUED, created_at=NOON - timedelta(hours=1)))
    for other, at in ((waiting[0], LATER), (waiting[1], LATER), (waiting[1], NOON)):
        await add_run(a_run(other, status=RunStatus.QUEUED, created_at=at))
    tenant = employee.tenant_id
    async with database.operator(read_only=True) as operator:
        oldest_first = [(tenant, waiting[1].id), (tenant, waiting[0].id)]
        assert await operator.startable_conversations(9) == oldest_first
        assert await operator.startable_conversations(1) == oldest_first[:1]
    async with database.unit(tenant) as unit:
        await unit.runs.finish(run.id, 1, **END, at=LATER)
    async with database.operator(read_only=True) as operator:
        assert await operator.startable_conversations(9) == [(tenant, conversation.id), *oldest_first]


async def waiting_in(database: Database, add_run: Add, employee: Employee, *, hours: int = 0) -> Conversation:
    """A conversation of its own in which a run waits, since so many hours before noon."""
    conversation = a_conversation(employee)
    async with database.unit(employee.tenant_id) as unit:
        await unit.conversations.add(conversation)
    await add_run(a_run(conversation, status=RunStatus.QUEUED, created_at=NOON - timedelta(hours=hours)))
    return conversation


async def startable(database: Database, limit: int) -> list[UUID]:
    async with database.operator(read_only=True) as operator:
        return [conversation_id for _, conversation_id in await operator.startable_conversations(limit)]


async def test_what_waits_for_a_busy_employee_is_in_nobodys_way(
    database: Database, add_run: Add, tenant: Tenant, neighbour: Tenant
) -> None:
    """Else the oldest fill every batch, and nothing behind them is ever found."""
    overworked = an_employee(tenant, slug="busy", max_concurrent_tasks=1)
    idle, foreign = an_employee(tenant, slug="idle", max_concurrent_tasks=1), an_employee(neighbour)
    for employee in (overworked, idle, foreign):
        async with database.unit(employee.tenant_id) as unit:
            await unit.employees.add(employee)
    at_work = a_conversation(overworked)
    async with database.unit(tenant.id) as unit:
        await unit.conversations.add(at_work)
    active = await add_run(a_run(at_work))
    blocked = [await waiting_in(database, add_run, overworked, hours=hours) for hours in (9, 8, 7)]
    free = [await waiting_in(database, add_run, idle, hours=2), await waiting_in(database, add_run, foreign, hours=1)]
    assert await startable(database, 1) == [free[0].id]
    assert await startable(database, 9) == [each.id for each in free]
    async with database.unit(tenant.id) as unit:
        await unit.runs.finish(active.id, 1, **END, at=LATER)
    by_turns = [blocked[0], free[1], *blocked[1:], free[0]]
    assert await startable(database, 9) == [each.id for each in by_turns]


async def test_a_run_that_waits_for_a_person_keeps_its_employee_from_nothing(
    database: Database, add_run: Add, tenant: Tenant
) -> None:
    employee = an_employee(tenant, slug="patient", max_concurrent_tasks=1)
    asking = a_conversation(employee)
    async with database.unit(tenant.id) as unit:
        await unit.employees.add(employee)
        await unit.conversations.add(asking)
    await add_run(a_run(asking, status=RunStatus.WAITING))
    free = await waiting_in(database, add_run, employee, hours=1)
    assert await startable(database, 9) == [free.id]


async def test_an_employee_is_not_full_before_its_bound(
    database: Database, add_run: Add, employee: Employee, run: Run
) -> None:
    """One of two; then two of two; then whatever, because there is no bound."""
    assert employee.max_concurrent_tasks == 2
    waiting = await waiting_in(database, add_run, employee)
    assert await startable(database, 9) == [waiting.id]
    second = await waiting_in(database, add_run, employee, hours=-1)
    async with database.unit(employee.tenant_id) as unit:
        [queued] = await unit.runs.queued(second.id)
        await unit.runs.start(queued.id, owner="me", lease_seconds=30, ordinal=1)
    assert await startable(database, 9) == []
    async with database.unit(employee.tenant_id) as unit:
        await unit.employees.update(msgspec.structs.replace(employee, max_concurrent_tasks=None))
    assert await startable(database, 9) == [waiting.id]


async def test_the_queue_of_an_employee_that_is_gone_is_found(
    database: Database, add_run: Add, employee: Employee
) -> None:
    """Whoever starts it finds out that it cannot be answered; left alone it would wait for ever."""
    waiting = await waiting_in(database, add_run, employee)
    async with database.unit(employee.tenant_id) as unit:
        await unit.employees.delete(employee.id)
    assert await startable(database, 9) == [waiting.id]


async def test_unfinished_conversations(
    database: Database, add_run: Add, employee: Employee, neighbour: Tenant
) -> None:
    foreign = an_employee(neighbour)
    async with database.unit(neighbour.id) as unit:
        await unit.employees.add(foreign)
    await waiting_in(database, add_run, foreign)
    conversations = [a_conversation(employee) for _ in range(5)]
    async with database.unit(employee.tenant_id) as unit:
        for conversation in conversations:
            await unit.conversations.add(conversation)
    queued, running, paused, ended, _ = conversations
    for conversation, status in (
        (queued, RunStatus.QUEUED),
        (queued, RunStatus.QUEUED),
        (running, RunStatus.RUNNING),
        (running, RunStatus.QUEUED),
        (paused, RunStatus.WAITING),
        (ended, RunStatus.COMPLETED),
        (ended, RunStatus.CANCELLED),
    ):
        await add_run(a_run(conversation, status=status))
    async with database.unit(employee.tenant_id, read_only=True) as unit:
        found = await unit.runs.unfinished_conversations()
    assert sorted(found) == sorted(each.id for each in (queued, running, paused)), "each once, and nobody else's"
