"""From an id to its tenant."""

import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import a_run


async def test_objects_lead_to_their_tenant(
    database: Database, tenant: Tenant, neighbour: Tenant, employee: Employee, conversation: Conversation
) -> None:
    run = a_run(conversation)
    async with database.unit(tenant.id) as unit:
        await unit.runs.add(run, owner="me", lease_seconds=30)
    async with database.operator(read_only=True) as operator:
        assert await operator.tenant_of_employee(employee.id) == tenant.id
        assert await operator.tenant_of_conversation(conversation.id) == tenant.id
        assert await operator.tenant_of_run(run.id) == tenant.id
        for locate in (operator.tenant_of_employee, operator.tenant_of_conversation, operator.tenant_of_run):
            with pytest.raises(NotFound):
                await locate(new_id())


async def test_a_deleted_employee_leads_nowhere(database: Database, employee: Employee) -> None:
    async with database.unit(employee.tenant_id) as unit:
        await unit.employees.delete(employee.id)
    async with database.operator(read_only=True) as operator:
        with pytest.raises(NotFound):
            await operator.tenant_of_employee(employee.id)
