"""A migrated database per test, copied from one that was migrated once per test process."""

from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.runs import Run, RunStatus
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import a_conversation, a_run, a_tenant, an_employee
from tests.contract.repositories.spending import Purse
from tests.support.roles import open_database


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    database = open_database(migrated_url, pool_size=5, command_timeout=10.0)
    yield database
    await database.aclose()


@pytest.fixture
async def tenant(database: Database) -> Tenant:
    tenant = a_tenant()
    async with database.operator() as unit:
        await unit.tenants.add(tenant)
    return tenant


@pytest.fixture
async def neighbour(database: Database) -> Tenant:
    """Another tenant, which must never be noticed."""
    tenant = a_tenant(slug="neighbour")
    async with database.operator() as unit:
        await unit.tenants.add(tenant)
    return tenant


@pytest.fixture
async def employee(database: Database, tenant: Tenant) -> Employee:
    employee = an_employee(tenant)
    async with database.unit(tenant.id) as unit:
        await unit.employees.add(employee)
    return employee


@pytest.fixture
async def conversation(database: Database, employee: Employee) -> Conversation:
    conversation = a_conversation(employee)
    async with database.unit(employee.tenant_id) as unit:
        await unit.conversations.add(conversation)
    return conversation


class Add(Protocol):
    async def __call__(self, run: Run, *, owner: str | None = "me", lease_seconds: float = 30) -> Run: ...


@pytest.fixture
def add_run(database: Database) -> Add:
    """Stores a run, a queued one without owner, and returns it as it then is."""

    async def add(run: Run, *, owner: str | None = "me", lease_seconds: float = 30) -> Run:
        async with database.unit(run.tenant_id) as unit:
            is_queued = run.status is RunStatus.QUEUED
            await unit.runs.add(run, owner=None if is_queued else owner, lease_seconds=lease_seconds)
            return await unit.runs.get(run.id)

    return add


@pytest.fixture
async def run(add_run: Add, conversation: Conversation) -> Run:
    return await add_run(a_run(conversation))


@pytest.fixture
def purse(database: Database, run: Run) -> Purse:
    """Spends the tenant's money with calls of the run."""
    return Purse(database, run)
