"""A migrated database per test, on both databases."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from retinue.db import migrations
from retinue.db.session import Database
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import a_tenant
from tests.support.databases import DIALECTS, Postgres, fresh_database


@pytest.fixture(scope="session")
def tools_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tools") / "retinue.db"
    asyncio.run(migrations.upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(scope="session")
def tools_template(postgres: Postgres) -> str:
    name = postgres.create(name="tools_template")
    asyncio.run(migrations.upgrade(postgres.url(name)))
    return name


@pytest.fixture(params=DIALECTS)
def tools_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        shutil.copy(request.getfixturevalue("tools_file"), tmp_path / "retinue.db")
    with fresh_database(request, request.param, tmp_path, template="tools_template") as url:
        yield url


@pytest.fixture
async def database(tools_url: str) -> AsyncIterator[Database]:
    database = Database.connect(tools_url, pool_size=5, command_timeout=10.0)
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
