"""The engine's small world on PostgreSQL, where transactions really meet. On SQLite writers are serial."""

from collections.abc import AsyncIterator

import pytest

from tests.contract.repositories.builders import a_tenant, an_employee
from tests.support.databases import Postgres
from tests.unit.runs.conftest import World, patience, polling, quiet
from tests.unit.runs.doubles import ChangeableDatabase

__all__ = ["patience", "polling", "quiet"]


@pytest.fixture
async def world(postgres: Postgres, migrated_template: str) -> AsyncIterator[World]:
    tenant = a_tenant()
    employee = an_employee(tenant)
    with postgres.database(template=migrated_template) as url:
        database = ChangeableDatabase.connect(url)
        async with database.operator() as operator:
            await operator.tenants.add(tenant)
        async with database.unit(tenant.id) as unit:
            await unit.employees.add(employee)
        world = World(database, tenant, employee)
        yield world
        for process in world.processes:
            await process.close()
        await world.coordination.aclose()
        await database.aclose()
