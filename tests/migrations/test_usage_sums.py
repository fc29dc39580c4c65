"""What was used before there were sums is told as before, and summed once there are servers to do it."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import sqlalchemy as sa

from retinue.db.session import Database
from retinue.db.tables import Base
from retinue.domain.ids import new_id
from retinue.domain.spending import Grouping, UsageRow
from retinue.jobs.summing import sum_up
from tests.contract.repositories.builders import NOON
from tests.migrations.old_rows import OldRows
from tests.migrations.schema import look
from tests.support.roles import downgrade, open_database, upgrade

DAY = timedelta(days=1)


async def test_old_calls_are_told_summed_and_told_again(database_url: str) -> None:
    old = OldRows()
    old.add_run(old.conversations[0], position=1, status="completed")
    await upgrade(database_url, "0001")
    await look(database_url, old.store)
    await upgrade(database_url, "0006")
    await look(database_url, lambda connection: _store_calls(connection, old))
    for _ in range(2):
        await upgrade(database_url)
        async with _open(database_url) as database:
            before = await _usage(database, old)
            assert [(row.calls, row.runs, row.cost_micros) for row in before] == [(2, 1, 14), (1, 1, 7)]
            assert await sum_up(database) == 3
            assert await _usage(database, old) == before
        await downgrade(database_url, "0006")


def _store_calls(connection: sa.Connection, old: OldRows) -> None:
    run, calls = new_id(), Base.metadata.tables["ledger"]
    for number, opened_at in enumerate((NOON, NOON + timedelta(hours=1), NOON + DAY)):
        call: dict[str, Any] = {
            "tenant_id": old.tenant,
            "id": new_id(),
            "run_id": run,
            "conversation_id": old.conversations[0],
        }
        call |= {"employee_id": old.employee, "step": number, "attempt": 1, "tries": 1, "provider": "openai"}
        call |= {"model": "m", "outcome": "completed", "cost_micros": 7, "opened_at": opened_at, "closed_at": opened_at}
        connection.execute(sa.insert(calls).values(call))


async def _usage(database: Database, old: OldRows) -> Sequence[UsageRow]:
    async with database.unit(old.tenant, read_only=True) as unit:
        return await unit.usage.summarize(Grouping.DAY, since=NOON - DAY, until=NOON + 3 * DAY, limit=9)


@asynccontextmanager
async def _open(url: str) -> AsyncIterator[Database]:
    database = open_database(url)
    yield database
    await database.aclose()
