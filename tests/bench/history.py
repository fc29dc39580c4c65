"""A tenant that has been at it for a year: conversations, messages, runs and ledger entries, as many as wanted."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Template
from typing import NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

from retinue.db.session import Database
from retinue.jobs.summing import sum_up
from tests.bench.contenders.retinue import Tenant
from tests.support.databases import Postgres
from tests.support.roles import open_database

DAYS = 365
_TURNS, _CONVERSATIONS_OF_USER = 10, 5
_ROWS_PER_TURN = 4.15
"""A run, its entry in the ledger and sometimes another one, two messages, and a tenth of a conversation."""
_SAMPLE = 200
_STATEMENTS = Template(Path(__file__).with_suffix(".sql").read_text())


class History(NamedTuple):
    tenant: UUID
    conversations: list[str]
    """Some of their ids, chosen at random."""
    until: datetime
    turns: int

    def since_last(self, turns: int) -> datetime:
        """Since when there have been so many."""
        return self.until - timedelta(days=DAYS * turns / self.turns)


async def remember(postgres: Postgres, database: str, tenant: Tenant, rows: int) -> History:
    """Write about so many rows into a migrated database, evenly spread over a year that ended an hour ago, and have
    them summed up.

    Foreign keys are not checked on the way: the superuser says so, and the rows are right.
    """
    name = urlsplit(database).path.removeprefix("/")
    until = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=1)
    turns = int(rows / _ROWS_PER_TURN) // _TURNS * _TURNS
    users = max(turns // _TURNS // _CONVERSATIONS_OF_USER, 1)
    values = {"tenant": tenant.id, "employee": tenant.employee, "turns": turns, "users": users, "days": DAYS}
    statements = _STATEMENTS.substitute(values, until=until.isoformat())
    postgres.execute(f"SET session_replication_role = replica; SET work_mem = '256MB'; {statements}", name)
    postgres.execute("ANALYZE", name)
    await _sum_up(database)
    # Autovacuum would do it anyway, in the middle of a measurement.
    postgres.execute("VACUUM (ANALYZE)", name)
    postgres.execute("CHECKPOINT", name)
    sample = f"SELECT id FROM conversations WHERE tenant_id = '{tenant.id}' ORDER BY random() LIMIT {_SAMPLE}"
    return History(tenant.id, postgres.execute(sample, name).split(), until, turns)


async def _sum_up(url: str) -> None:
    """As servers do it, and together with one that serves the database: whoever comes second waits for the first."""
    database = open_database(url, command_timeout=600.0)
    try:
        while await _is_behind(database):
            if not await sum_up(database):
                await asyncio.sleep(0.1)
    finally:
        await database.aclose()


async def _is_behind(database: Database) -> bool:
    async with database.operator(read_only=True) as operator:
        return await operator.usage.is_behind()
