"""Two who change the same key, on PostgreSQL."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from retinue.db.session import Database, Unit
from retinue.domain.access import ApiKey
from retinue.domain.tenants import Tenant
from tests.contract.repositories.credentials import an_api_key
from tests.contract.repositories.stage import Stage
from tests.support.roles import superuser_url

pytestmark = pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)


@pytest.fixture
async def stage(database: Database, tenant: Tenant, migrated_url: str) -> AsyncIterator[Stage]:
    engine = create_async_engine(superuser_url(migrated_url), isolation_level="AUTOCOMMIT")
    async with engine.connect() as observer:
        yield Stage(database, tenant, observer)
    await engine.dispose()


@pytest.fixture
async def key(database: Database, tenant: Tenant) -> ApiKey:
    async with database.unit(tenant.id) as unit:
        return await unit.api_keys.add(an_api_key(tenant), b"digest", seconds=None)


async def test_who_rotates_a_key_waits_for_who_revokes_it(stage: Stage, key: ApiKey) -> None:
    async def revoke(unit: Unit) -> bool:
        await unit.api_keys.get_for_update(key.id)
        return await unit.api_keys.revoke(key.id)

    async def look(unit: Unit) -> bool:
        await unit.api_keys.get_for_update(key.id)
        return await unit.api_keys.is_live(key.id)

    assert await stage.meet(revoke, look) == (True, False)


async def test_a_key_that_ends_while_somebody_waits_for_it_has_ended(stage: Stage, key: ApiKey) -> None:
    """The clock goes on while a transaction waits."""

    async def end(unit: Unit) -> None:
        await unit.api_keys.get_for_update(key.id)
        await unit.api_keys.end_within(key.id, 0)

    async def look(unit: Unit) -> bool:
        await unit.clock()
        await unit.api_keys.get_for_update(key.id)
        return await unit.api_keys.is_live(key.id)

    assert await stage.meet(end, look) == (None, False)


async def test_origins_are_replaced_one_after_the_other(stage: Stage, database: Database, tenant: Tenant) -> None:
    async def first(unit: Unit) -> list[str]:
        return list(await unit.origins.replace(["https://a.example", "https://b.example"]))

    async def second(unit: Unit) -> list[str]:
        return list(await unit.origins.replace(["https://b.example", "https://c.example"]))

    assert await stage.meet(first, second) == ([], ["https://a.example", "https://b.example"])
    async with database.unit(tenant.id, read_only=True) as unit:
        assert await unit.origins.list() == ["https://b.example", "https://c.example"]
