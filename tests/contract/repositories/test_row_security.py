"""On PostgreSQL tenants do not exist for each other even if every filter was forgotten."""

from collections.abc import AsyncIterator, Iterator

import pytest
import sqlalchemy as sa

from retinue.db.session import Database, OperatorUnit, Unit
from retinue.domain.errors import NotFound, StorageFailed
from retinue.domain.ids import new_id
from retinue.domain.tenants import Tenant
from tests.contract.repositories.belongings import READS, Property

# Run once more, by the fixtures of this module, without the filter.
from tests.contract.repositories.test_isolation import (
    test_a_row_cannot_be_hung_on_another_tenants,
    test_reads_find_nothing,
    test_writes_change_nothing,
    theirs,
)
from tests.support.roles import JOBS, open_as_superuser, url_as
from tests.support.unfiltered import without_tenant_filter

__all__ = [
    "test_a_row_cannot_be_hung_on_another_tenants",
    "test_reads_find_nothing",
    "test_writes_change_nothing",
    "theirs",
]

pytestmark = pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)


@pytest.fixture(autouse=True)
def _without_filter(theirs: Property) -> Iterator[None]:
    with without_tenant_filter():
        yield


@pytest.fixture
async def blind(migrated_url: str) -> AsyncIterator[Database]:
    """One whose units run as a role that sees all tenants."""
    url = url_as(JOBS, migrated_url)
    database = Database.connect(url, jobs_url=url)
    yield database
    await database.aclose()


async def test_without_row_security_the_same_reads_find_what_is_anothers(
    blind: Database, theirs: Property, neighbour: Tenant
) -> None:
    """So that it is really row security that the tests above test."""
    async with blind.unit(neighbour.id, read_only=True) as unit:
        seen = {name for name, read in READS.items() if await read(unit, theirs)}
    assert len(seen) > len(READS) * 3 / 4


async def test_without_a_tenant_there_are_no_rows(database: Database, theirs: Property) -> None:
    tables = await _tables(database)
    async with database.unit(new_id(), read_only=True) as unit:
        for forget in ("SET LOCAL retinue.tenant_id = ''", "SET LOCAL retinue.tenant_id TO DEFAULT"):
            await unit._executor.connection.sqlalchemy.exec_driver_sql(forget)
            assert [await _count(unit, table) for table in tables] == [0] * len(tables)


async def test_the_owner_sees_no_rows_by_accident(
    database: Database, theirs: Property, migrated_url: str, neighbour: Tenant
) -> None:
    tables = await _tables(database)
    owner = url_as("retinue_owner", migrated_url)
    owning = Database.connect(owner, jobs_url=owner)
    async with owning.unit(neighbour.id, read_only=True) as unit:
        assert [await _count(unit, table) for table in tables] == [0] * len(tables)
        await unit._executor.connection.sqlalchemy.exec_driver_sql("SET LOCAL retinue.migrates = on")
        assert await _count(unit, "runs") > 0
    await owning.aclose()


async def test_every_table_has_rows_to_be_hidden(migrated_url: str, theirs: Property) -> None:
    almighty = open_as_superuser(migrated_url)
    tables = await _tables(almighty)
    async with almighty.operator(read_only=True) as operator:
        empty = {table for table in tables if not await _count(operator, table)}
    await almighty.aclose()
    assert empty <= {"api_keys", "erasures", "tenant_limits", "tenant_origins"}


STOLEN = {
    "insert": "INSERT INTO shop_actions (tenant_id, key, answer) VALUES ('{their}', 'x', '1')",
    "give away": "UPDATE employees SET tenant_id = '{their}' WHERE tenant_id = '{own}'",
    "a tenant": "INSERT INTO tenants (id, name, slug, created_at, updated_at) VALUES ('{their}', '', '', now(), now())",
    "another name": "UPDATE tenants SET name = 'x' WHERE id = '{own}'",
    "no tenant": "DELETE FROM tenants WHERE id = '{own}'",
    "a changed trail": "UPDATE audit_entries SET action = 'x'",
    "a shorter trail": "DELETE FROM audit_entries",
    "an empty trail": "TRUNCATE audit_entries",
    "an empty table": "TRUNCATE conversations CASCADE",
    "no head": "DELETE FROM audit_heads",
    "secrets": "SELECT * FROM server_secrets",
    "no security": "ALTER TABLE runs DISABLE ROW LEVEL SECURITY",
    "a policy": "CREATE POLICY all_of_it ON runs USING (true)",
    "another role": "SET ROLE retinue_jobs",
    "the owner's role": "SET ROLE retinue_owner",
}


@pytest.mark.parametrize("statement", STOLEN.values(), ids=STOLEN)
async def test_the_application_may_not(
    database: Database, theirs: Property, neighbour: Tenant, tenant: Tenant, statement: str
) -> None:
    with pytest.raises((StorageFailed, NotFound)) as caught:
        async with database.unit(tenant.id) as unit:
            await unit._executor.change(sa.text(statement.format(own=tenant.id, their=neighbour.id)))
    assert getattr(getattr(caught.value.__cause__, "orig", None), "sqlstate", None) == "42501"


async def _tables(database: Database) -> list[str]:
    look = "SELECT table_name FROM information_schema.columns WHERE column_name = 'tenant_id' ORDER BY 1"
    async with database.operator(read_only=True) as operator:
        return [row[0] for row in await operator._executor.connection.sqlalchemy.exec_driver_sql(look)]


async def _count(unit: Unit | OperatorUnit, table: str) -> int:
    counted: int = (
        await unit._executor.connection.sqlalchemy.exec_driver_sql(f"SELECT count(*) FROM {table}")
    ).scalar_one()
    return counted
