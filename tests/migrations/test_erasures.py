"""Going down to a version that does not know erasures brings no deleted tenant back."""

from typing import Any

import sqlalchemy as sa

from retinue.db.tables import Base
from tests.migrations.old_rows import OldRows
from tests.migrations.schema import look
from tests.support.roles import downgrade, open_database, upgrade


async def test_deleted_tenants_are_gone_and_others_are_not(database_url: str) -> None:
    living, deleted = OldRows(), OldRows()
    deleted._rows["tenants"][0]["slug"] = "deleted"
    for rows in (living, deleted):
        for conversation in rows.conversations:
            rows.add_run(conversation, position=1, status="completed")
    await upgrade(database_url, "0001")
    for rows in (living, deleted):
        await look(database_url, rows.store)
    await upgrade(database_url)
    database = open_database(database_url)
    async with database.operator() as operator:
        await operator.tenants.delete(deleted.tenant)
    await database.aclose()
    before = await look(database_url, _owners)
    assert {living.tenant, deleted.tenant} == set().union(*before.values())
    await downgrade(database_url, "0003")
    after = await look(database_url, _owners)
    assert set().union(*after.values()) == {living.tenant}
    assert {name for name, owners in after.items() if owners} >= {"tenants", "runs", "messages", "employees"}
    await upgrade(database_url)


def _owners(connection: sa.Connection) -> dict[str, set[Any]]:
    """Whose rows there are, by table."""
    there = set(sa.inspect(connection).get_table_names())
    found = {}
    for table in Base.metadata.sorted_tables:
        owner = table.c.id if table.name == "tenants" else table.c.get("tenant_id")
        if owner is not None and table.name in there:
            found[table.name] = set(connection.scalars(sa.select(owner)).all())
    return found
