"""From an id to its tenant."""

import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from retinue.domain.runs import RunStatus
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import a_run, an_approval


async def test_objects_lead_to_their_tenant(
    database: Database, tenant: Tenant, neighbour: Tenant, employee: Employee, conversation: Conversation
) -> None:
    run = a_run(conversation)
    approval = an_approval(run)
    async with database.unit(tenant.id) as unit:
        await unit.runs.add(run, owner="me", lease_seconds=30)
        await unit.approvals.add(approval)
    async with database.operator(read_only=True) as operator:
        assert await operator.tenant_of_employee(employee.id) == tenant.id
        assert await operator.tenant_of_conversation(conversation.id) == tenant.id
        assert await operator.tenant_of_run(run.id) == tenant.id
        assert await operator.tenant_of_approval(approval.id) == tenant.id
        for locate in (
            operator.tenant_of_employee,
            operator.tenant_of_conversation,
            operator.tenant_of_run,
            operator.tenant_of_approval,
        ):
            with pytest.raises(NotFound):
                await locate(new_id())


async def test_a_deleted_employee_leads_nowhere(database: Database, employee: Employee) -> None:
    async with database.unit(employee.tenant_id) as unit:
        await unit.employees.delete(employee.id)
    async with database.operator(read_only=True) as operator:
        with pytest.raises(NotFound):
            await operator.tenant_of_employee(employee.id)


async def test_a_process_that_is_alone_ends_the_leases_of_its_predecessors(
    database: Database, conversation: Conversation
) -> None:
    theirs, ours = a_run(conversation), a_run(conversation, status=RunStatus.COMPLETED)
    async with database.unit(conversation.tenant_id) as unit:
        await unit.runs.add(theirs, owner="before", lease_seconds=600)
        await unit.runs.add(ours, owner="before", lease_seconds=600)
    async with database.operator() as operator:
        assert await operator.expire_leases_of_others("before") == 0
        assert await operator.active_runs_with_expired_lease(9) == []
        assert await operator.expire_leases_of_others("me") == 1
        assert await operator.active_runs_with_expired_lease(9) == [(conversation.tenant_id, theirs.id)]
