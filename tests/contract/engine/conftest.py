"""The engine's small world on PostgreSQL, where transactions really meet. On SQLite writers are serial."""

from collections.abc import AsyncIterator

import pytest

from tests.support.databases import Postgres
from tests.support.roles import jobs_url
from tests.unit.runs.conftest import patience, polling, quiet, world
from tests.unit.runs.doubles import ChangeableDatabase

__all__ = ["patience", "polling", "quiet", "world"]


@pytest.fixture
async def database(postgres: Postgres, migrated_template: str) -> AsyncIterator[ChangeableDatabase]:
    with postgres.database(template=migrated_template) as url:
        database = ChangeableDatabase.connect(url, jobs_url=jobs_url(url))
        yield database
        await database.aclose()
