"""A migrated database per test, on both databases."""

from collections.abc import AsyncIterator

import pytest

from retinue.db.session import Database
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import a_tenant
from tests.support.roles import open_database


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    database = open_database(migrated_url, pool_size=5, command_timeout=10.0)
    yield database
    await database.aclose()


@pytest.fixture
async def tenant(database: Database) -> Tenant:
    return await stored(database, a_tenant())


@pytest.fixture
async def neighbour(database: Database) -> Tenant:
    """Another tenant, with orders of the same numbers."""
    return await stored(database, a_tenant(slug="neighbour"))


async def stored(database: Database, tenant: Tenant) -> Tenant:
    async with database.operator() as unit:
        await unit.tenants.add(tenant)
    return tenant
