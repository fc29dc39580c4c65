"""The engine's small world on PostgreSQL, where transactions really meet. On SQLite writers are serial."""

from collections.abc import AsyncIterator

import pytest

from tests.support.reuse import ReusedDatabases
from tests.support.roles import jobs_url
from tests.unit.runs.conftest import patience, polling, quiet, world
from tests.unit.runs.doubles import ChangeableDatabase

__all__ = ["patience", "polling", "quiet", "world"]


@pytest.fixture
async def database(reused_databases: ReusedDatabases) -> AsyncIterator[ChangeableDatabase]:
    with reused_databases.database() as url:
        database = ChangeableDatabase.connect(url, jobs_url=jobs_url(url))
        yield database
        await database.aclose()
