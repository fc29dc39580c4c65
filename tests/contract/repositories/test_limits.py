"""A tenant's limits, and what of its concurrent runs is in use."""

from datetime import timedelta
from typing import Any
from uuid import UUID

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.employees import Employee
from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from retinue.domain.limits import PARTIES, Bounds, Limits, StoredLimits
from retinue.domain.runs import Run, RunStatus, WaitingFor
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import LATER, NOON, a_conversation, a_run, an_employee
from tests.contract.repositories.conftest import Add
from tests.contract.repositories.test_runs import END

EVERY = Limits(
    tenant=Bounds(requests_per_minute=1, tokens_per_minute=2, concurrent_runs=3),
    key=Bounds(requests_per_minute=4, tokens_per_minute=5, concurrent_runs=0),
    user=Bounds(requests_per_minute=6, tokens_per_minute=None, concurrent_runs=9),
)


@pytest.fixture
async def employee(database: Database, tenant: Tenant) -> Employee:
    """Never has too much to do."""
    employee = an_employee(tenant, max_concurrent_tasks=None)
    async with database.unit(tenant.id) as unit:
        await unit.employees.add(employee)
    return employee


async def choose(database: Database, tenant: Tenant, limits: Limits) -> None:
    async with database.unit(tenant.id) as unit:
        await unit.limits.put(StoredLimits(limits=limits, updated_at=NOON))


async def runs_of(
    database: Database, add_run: Add, employee: Employee, count: int, *, lease_seconds: float = 30, **fields: Any
) -> list[Run]:
    """Each in a conversation of its own."""
    found = []
    for _ in range(count):
        conversation = a_conversation(employee, external_id=None)
        async with database.unit(employee.tenant_id) as unit:
            await unit.conversations.add(conversation)
        found.append(await add_run(a_run(conversation, **fields), lease_seconds=lease_seconds))
    return found


async def test_limits_are_kept_and_replaced(database: Database, tenant: Tenant, neighbour: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        assert await unit.limits.get() is None
    for at, limits in ((NOON, EVERY), (LATER, Limits())):
        async with database.unit(tenant.id) as unit:
            await unit.limits.get_for_update()
            await unit.limits.put(StoredLimits(limits=limits, updated_at=at))
            assert await unit.limits.get() == StoredLimits(limits=limits, updated_at=at)
    async with database.unit(neighbour.id, read_only=True) as unit:
        assert await unit.limits.get() is None


async def test_a_tenant_that_is_not_there_has_none(database: Database) -> None:
    for act in ("get_for_update", "lock_slots"):
        async with database.unit(new_id()) as unit:
            with pytest.raises(NotFound):
                await getattr(unit.limits, act)()


async def test_limits_go_with_their_tenant(database: Database, tenant: Tenant) -> None:
    await choose(database, tenant, EVERY)
    async with database.operator() as operator:
        await operator.tenants.delete(tenant.id)


async def test_what_is_running_is_counted_for_tenant_key_and_user(
    database: Database, add_run: Add, employee: Employee
) -> None:
    key_id = new_id()
    await runs_of(database, add_run, employee, 2, key_id=key_id, user_id="ada")
    await runs_of(database, add_run, employee, 1, user_id="bob")
    await runs_of(database, add_run, employee, 1, status=RunStatus.QUEUED, key_id=key_id, user_id="ada")
    (done, waiting) = await runs_of(database, add_run, employee, 2, key_id=key_id, user_id="ada")
    async with database.unit(employee.tenant_id) as unit:
        await unit.runs.finish(done.id, 1, **END, at=LATER)
        await unit.runs.pause(waiting.id, 1, waiting_for=WaitingFor.APPROVAL)
        used = await unit.limits.count_runs(key_id=key_id, user_id="ada")
        assert (used.tenant, used.key, used.user) == (3, 2, 2)
        used = await unit.limits.count_runs(key_id=new_id(), user_id="bob")
        assert (used.tenant, used.key, used.user) == (3, 0, 1)


async def test_only_what_some_process_has_is_held(database: Database, add_run: Add, employee: Employee) -> None:
    await runs_of(database, add_run, employee, 1)
    await runs_of(database, add_run, employee, 1, lease_seconds=-1)
    (released, waiting) = await runs_of(database, add_run, employee, 2)
    async with database.unit(employee.tenant_id) as unit:
        await unit.runs.release(released.id, 1)
        await unit.runs.pause(waiting.id, 1, waiting_for=WaitingFor.APPROVAL)
        await unit.runs.wake(waiting.id, 1)
        assert (await unit.limits.count_runs(key_id=None, user_id=None)).tenant == 4
        assert (await unit.limits.count_runs(key_id=None, user_id=None, only_held=True)).tenant == 1


@pytest.mark.parametrize("party", PARTIES)
@pytest.mark.parametrize("is_chosen", [True, False])
async def test_what_no_bound_has_room_for_is_not_startable(
    database: Database, add_run: Add, tenant: Tenant, employee: Employee, party: str, *, is_chosen: bool
) -> None:
    whose: dict[str, Any] = {"key_id": new_id(), "user_id": "ada"}
    bound = Limits(**{party: Bounds(concurrent_runs=2)})
    if is_chosen:
        await choose(database, tenant, bound)
    defaults = Limits(tenant=Bounds(concurrent_runs=1)) if is_chosen and party == "tenant" else bound
    defaults = Limits() if is_chosen and party != "tenant" else defaults
    running = await runs_of(database, add_run, employee, 2, **whose)
    (queued,) = await runs_of(database, add_run, employee, 1, status=RunStatus.QUEUED, **whose)
    wanted = [(tenant.id, queued.conversation_id)]
    async with database.operator(read_only=True) as operator:
        assert await operator.startable_conversations(9, defaults) == []
    async with database.unit(tenant.id) as unit:
        await unit.runs.finish(running[0].id, 1, **END, at=LATER)
    async with database.operator(read_only=True) as operator:
        assert await operator.startable_conversations(9, defaults) == wanted


async def test_a_choice_without_a_bound_beats_the_default(
    database: Database, add_run: Add, tenant: Tenant, employee: Employee
) -> None:
    await choose(database, tenant, Limits(tenant=Bounds(concurrent_runs=0)))
    await runs_of(database, add_run, employee, 2)
    await runs_of(database, add_run, employee, 1, status=RunStatus.QUEUED)
    async with database.operator(read_only=True) as operator:
        assert len(await operator.startable_conversations(9, Limits(tenant=Bounds(concurrent_runs=1)))) == 1


async def test_lost_runs_without_a_slot_are_left_out_unless_they_are_to_be_cancelled(
    database: Database, add_run: Add, employee: Employee
) -> None:
    bound = Limits(tenant=Bounds(concurrent_runs=1))
    (alive,) = await runs_of(database, add_run, employee, 1)
    lost, unwanted = await runs_of(database, add_run, employee, 2, lease_seconds=-1)
    async with database.unit(employee.tenant_id) as unit:
        await unit.runs.request_cancel(unwanted.id)
    async with database.operator(read_only=True) as operator:
        assert await operator.active_runs_with_expired_lease(9, bound) == [(employee.tenant_id, unwanted.id)]
    async with database.unit(employee.tenant_id) as unit:
        await unit.runs.finish(alive.id, 1, **END, at=LATER)
    async with database.operator(read_only=True) as operator:
        found = await operator.active_runs_with_expired_lease(9, bound)
        assert {run_id for _, run_id in found} == {lost.id, unwanted.id}


async def test_tenants_take_turns(
    database: Database, add_run: Add, tenant: Tenant, neighbour: Tenant, employee: Employee
) -> None:
    """However long the queue of one is, the first of another's is next."""
    colleague = an_employee(neighbour, max_concurrent_tasks=None)
    async with database.unit(neighbour.id) as unit:
        await unit.employees.add(colleague)

    async def queue(of: Employee, *minutes: int) -> list[UUID]:
        found = []
        for minute in minutes:
            at = NOON + timedelta(minutes=minute)
            found += await runs_of(database, add_run, of, 1, status=RunStatus.QUEUED, created_at=at)
        return [run.conversation_id for run in found]

    theirs, ours = await queue(employee, 1, 2, 3), await queue(colleague, 4, 5)
    async with database.operator(read_only=True) as operator:
        found = [conversation_id for _, conversation_id in await operator.startable_conversations(9)]
        assert found == [theirs[0], ours[0], theirs[1], ours[1], theirs[2]]
        assert await operator.startable_conversations(2) == [(tenant.id, theirs[0]), (neighbour.id, ours[0])]


async def test_lost_runs_take_turns_too(
    database: Database, add_run: Add, tenant: Tenant, neighbour: Tenant, employee: Employee
) -> None:
    colleague = an_employee(neighbour, max_concurrent_tasks=None)
    async with database.unit(neighbour.id) as unit:
        await unit.employees.add(colleague)
    many = await runs_of(database, add_run, employee, 3, lease_seconds=-9)
    (one,) = await runs_of(database, add_run, colleague, 1, lease_seconds=-1)
    async with database.operator(read_only=True) as operator:
        found = await operator.active_runs_with_expired_lease(2)
    assert {tenant_id for tenant_id, _ in found} == {tenant.id, neighbour.id}
    assert (neighbour.id, one.id) in found
    assert {run_id for tenant_id, run_id in found if tenant_id == tenant.id} < {run.id for run in many}


async def test_whose_a_run_is_is_kept(database: Database, add_run: Add, employee: Employee) -> None:
    key_id = new_id()
    (run,) = await runs_of(database, add_run, employee, 1, key_id=key_id, user_id="ada@example.com")
    assert msgspec.structs.replace(run, key_id=key_id, user_id="ada@example.com") == run
