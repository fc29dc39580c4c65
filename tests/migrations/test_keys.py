"""Keys, origins and the server's own secrets come with 0004 and go with it."""

import pytest
import sqlalchemy as sa

from retinue.domain.errors import StorageFailed
from retinue.domain.ids import new_id
from tests.contract.repositories.builders import a_tenant
from tests.contract.repositories.credentials import an_api_key
from tests.migrations.schema import look
from tests.support.roles import downgrade, open_database, upgrade

OURS = {"api_keys", "tenant_origins", "server_secrets"}


def tables(connection: sa.Connection) -> set[str]:
    return set(sa.inspect(connection).get_table_names())


async def test_going_down_forgets_them_and_nothing_else(database_url: str) -> None:
    await upgrade(database_url)
    tenant = a_tenant()
    database = open_database(database_url)
    try:
        async with database.operator() as operator:
            await operator.tenants.add(tenant)
            await operator.server_secrets.add("name", b"sealed")
        async with database.unit(tenant.id) as unit:
            await unit.api_keys.add(an_api_key(tenant), b"digest", seconds=None)
            await unit.origins.replace(["https://app.example"])
    finally:
        await database.aclose()
    await downgrade(database_url, "0003")
    assert not OURS & await look(database_url, tables)
    await upgrade(database_url)
    assert await look(database_url, tables) >= OURS
    database = open_database(database_url)
    try:
        async with database.operator(read_only=True) as operator:
            assert (await operator.tenants.get(tenant.id)).slug == tenant.slug
            assert await operator.server_secrets.find("name") is None
        async with database.unit(tenant.id, read_only=True) as unit:
            assert await unit.api_keys.list(limit=9) == []
            assert await unit.origins.list() == []
    finally:
        await database.aclose()


async def test_a_key_s_id_is_one_tenant_s(migrated_url: str) -> None:
    """A credential names its key and not its tenant."""
    tenants = [a_tenant(), a_tenant(id=new_id(), slug="other")]
    database = open_database(migrated_url)
    try:
        async with database.operator() as operator:
            for tenant in tenants:
                await operator.tenants.add(tenant)
        key = an_api_key(tenants[0])
        async with database.unit(tenants[0].id) as unit:
            await unit.api_keys.add(key, b"digest", seconds=None)
        with pytest.raises(StorageFailed):
            async with database.unit(tenants[1].id) as unit:
                await unit.api_keys.add(an_api_key(tenants[1], id=key.id), b"digest", seconds=None)
    finally:
        await database.aclose()
