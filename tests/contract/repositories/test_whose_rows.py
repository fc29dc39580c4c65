"""Whatever a tenant's repository asks, it says for every table whose rows it means: a join or a subquery that forgets
it would be hidden by row level security on PostgreSQL, and by nothing on SQLite.
"""

from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.session import Database
from retinue.domain.errors import RetinueError
from tests.contract.repositories.belongings import HANGINGS, READS, WRITES, Property
from tests.contract.repositories.test_isolation import theirs
from tests.support.statements import listening
from tests.support.tenant_conditions import unbound_tables

__all__ = ["theirs"]

pytestmark = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)


@pytest.mark.parametrize("name", [*READS, *WRITES, *HANGINGS])
async def test_every_statement_says_whose_rows_it_means(database: Database, theirs: Property, name: str) -> None:
    act = {**READS, **WRITES, **HANGINGS}[name]
    with listening() as heard, suppress(RetinueError):
        async with database.unit(theirs.run.tenant_id) as unit:
            await act(unit, theirs)
    assert heard
    assert {table for each in heard for table in unbound_tables(each.statement)} == set()


OWN = t.Run.tenant_id == sa.bindparam("own")


@pytest.mark.parametrize(
    ("statement", "tables"),
    [
        (sa.select(t.Run), {"runs"}),
        (sa.select(t.Run).where(t.Run.id == sa.bindparam("id")), {"runs"}),
        (sa.select(t.Run, t.Message.content).where(OWN), {"messages"}),
        (sa.select(t.Run).where(OWN | sa.true()), {"runs"}),
        (
            sa.select(t.Run).where(
                t.Run.tenant_id == sa.bindparam("x"), sa.exists().where(t.Message.run_id == t.Run.id)
            ),
            {"messages"},
        ),
        (
            sa.select(t.Run).join(t.Message, t.Message.run_id == t.Run.id).where(OWN),
            {"messages"},
        ),
        (sa.select(t.Run).where(OWN, t.Run.id.in_(sa.select(t.Run.id))), {"runs"}),
        (sa.update(t.Run).values(owner=None), {"runs"}),
        (sa.delete(t.Run).where(t.Run.id.in_(sa.select(t.Message.run_id))), {"runs", "messages"}),
    ],
)
def test_what_forgets_it_is_noticed(migrated_url: str, statement: Any, tables: set[str]) -> None:
    assert unbound_tables(statement) == tables
