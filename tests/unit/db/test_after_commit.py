"""What is told of a unit of work is told once it is committed, and not at all otherwise."""

from collections.abc import AsyncIterator

import pytest

from retinue.db.session import Database
from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from tests.support.roles import open_database


@pytest.fixture
async def database(migrated_url: str) -> AsyncIterator[Database]:
    database = open_database(migrated_url)
    yield database
    await database.aclose()


async def test_a_commit_is_told_after_it(database: Database) -> None:
    told: list[int] = []
    async with database.unit(new_id()) as unit:
        unit.after_commit.append(lambda: told.append(database.connections()[0]))
        await unit.config.get()
        assert told == []
        in_use, limit = database.connections()
        assert (in_use, limit >= 10) == (1, True)
    assert told == [0]


async def test_what_is_rolled_back_is_not_told(database: Database) -> None:
    told: list[str] = []

    async def fail() -> None:
        async with database.unit(new_id()) as unit:
            unit.after_commit.append(lambda: told.append("committed"))
            raise NotFound

    with pytest.raises(NotFound):
        await fail()
    assert told == []


async def test_the_operator_s_commits_are_told_too(database: Database) -> None:
    told: list[str] = []
    async with database.operator() as operator:
        operator.after_commit.append(lambda: told.append("committed"))
    assert told == ["committed"]
