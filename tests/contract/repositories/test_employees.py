"""Employees."""

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.errors import Conflict, NotFound
from retinue.domain.ids import new_id
from retinue.domain.policy import Permission
from retinue.domain.runs import RunStatus
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import LATER, NOON, a_conversation, a_run, a_tenant, an_employee


async def test_an_employee_comes_back_as_it_went_in(database: Database, employee: Employee) -> None:
    async with database.unit(employee.tenant_id, read_only=True) as unit:
        assert await unit.employees.get(employee.id) == employee
        assert await unit.employees.get_by_slug("ada") == employee


async def test_a_slug_is_taken_once_in_a_tenant(database: Database, tenant: Tenant, employee: Employee) -> None:
    other = an_employee(tenant, slug="bob")
    with pytest.raises(Conflict) as adding:
        async with database.unit(tenant.id) as unit:
            await unit.employees.add(an_employee(tenant))
    async with database.unit(tenant.id) as unit:
        await unit.employees.add(other)
    with pytest.raises(Conflict) as renaming:
        async with database.unit(tenant.id) as unit:
            await unit.employees.update(msgspec.structs.replace(other, slug=employee.slug))
    assert adding.value.problem_code == renaming.value.problem_code == "slug_taken"


async def test_other_tenants_may_have_the_slug(database: Database, employee: Employee, neighbour: Tenant) -> None:
    async with database.unit(neighbour.id) as unit:
        await unit.employees.add(an_employee(neighbour))


async def test_a_deleted_employee_is_gone_for_everybody_but_history(
    database: Database, tenant: Tenant, employee: Employee, conversation: Conversation
) -> None:
    async with database.unit(tenant.id) as unit:
        await unit.employees.delete(employee.id, at=LATER)
        assert await unit.employees.find(employee.id) is None
        assert await unit.employees.list(limit=10) == []
        for act in (
            unit.employees.get_by_slug(employee.slug),
            unit.employees.update(employee),
            unit.employees.delete(employee.id),
        ):
            with pytest.raises(NotFound):
                await act
        assert (await unit.conversations.get(conversation.id)).employee_id == employee.id
        await unit.employees.add(an_employee(tenant))  # its slug is free again


async def test_updating_writes_every_field(database: Database, tenant: Tenant, employee: Employee) -> None:
    changed = an_employee(
        tenant, id=employee.id, slug="new", permission=Permission.READ, tools=(), reasoning=None, updated_at=LATER
    )
    async with database.unit(tenant.id) as unit:
        await unit.employees.update(msgspec.structs.replace(changed, created_at=LATER))
        assert await unit.employees.get(employee.id) == msgspec.structs.replace(changed, created_at=NOON)


async def test_the_list_is_filtered_and_goes_on_after_a_cursor(database: Database, tenant: Tenant) -> None:
    people = [an_employee(tenant, slug=f"e{n}", role="even" if n % 2 == 0 else "odd") for n in range(6)]
    async with database.unit(tenant.id) as unit:
        for person in people:
            await unit.employees.add(person)
        first = await unit.employees.list(limit=4)
        rest = await unit.employees.list(limit=4, after=first[-1].id)
        odd = await unit.employees.list(limit=9, role="odd")
        one = await unit.employees.list(limit=9, slug="e2", permission=Permission.WRITE)
        none = await unit.employees.list(limit=9, permission=Permission.READ)
    assert [*first, *rest] == people
    assert odd == people[1::2]
    assert (one, none) == ([people[2]], [])


async def test_only_runs_that_are_worked_on_count(database: Database, employee: Employee) -> None:
    async with database.unit(employee.tenant_id) as unit:
        for status in (RunStatus.QUEUED, RunStatus.WAITING, RunStatus.RUNNING, RunStatus.COMPLETED):
            conversation = a_conversation(employee)
            await unit.conversations.add(conversation)
            await unit.runs.add(a_run(conversation, status=status), owner="me", lease_seconds=30)
        await unit.employees.lock_for_start(employee.id)
        assert await unit.employees.count_active_runs(employee.id) == 1, "who waits for a person occupies nobody"
        assert await unit.employees.count_active_runs(new_id()) == 0


async def test_no_employee_without_a_tenant(database: Database) -> None:
    nobody = a_tenant()
    with pytest.raises(NotFound):
        async with database.unit(nobody.id) as unit:
            await unit.employees.add(an_employee(nobody))
