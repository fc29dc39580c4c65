"""SQLite uses a partial index only for a condition that it recognises."""

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from retinue.db import tables as t
from retinue.db.repositories.conditions import has_started
from retinue.domain.ids import new_id


@pytest.mark.parametrize(
    ("column", "index"),
    [(t.Run.conversation_id, "uq_runs_active"), (t.Run.employee_id, "ix_runs_employee_active")],
    ids=["conversation", "employee"],
)
def test_started_runs_are_found_by_their_index(column: sa.ColumnElement[object], index: str) -> None:
    engine = sa.create_engine("sqlite://")
    wanted = sa.select(t.Run.id).where(t.Run.tenant_id == new_id(), column == new_id(), has_started())
    sql = wanted.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with engine.connect() as connection:
        t.Base.metadata.create_all(connection)
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}").all()
    engine.dispose()
    assert index in str(plan)
