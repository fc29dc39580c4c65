"""Databases for tests are real, empty and apart from each other."""

import os
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

from tests.support.databases import Postgres, running_postgres


async def connect(postgres: Postgres, database: str) -> Any:
    return await asyncpg.connect(user="postgres", host=str(postgres.folder), database=database)


async def test_a_database_is_copied_from_a_template_and_gone_afterwards(postgres: Postgres) -> None:
    template = postgres.create()
    postgres.execute("CREATE TABLE thing (id int); INSERT INTO thing VALUES (7)", template)
    with postgres.database(template=template) as url:
        name = url.split("/")[3].partition("?")[0]
        connection = await connect(postgres, name)
        assert await connection.fetchval("SELECT id FROM thing") == 7
        await connection.execute("DELETE FROM thing")
    # The connection is still open: dropping threw it out.
    with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
        await connection.fetchval("SELECT 1")
    assert postgres.execute("SELECT id FROM thing", template) == "7"
    assert postgres.execute(f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == "0"
    postgres.drop(template)


def test_a_wrong_statement_fails(postgres: Postgres) -> None:
    with pytest.raises(AssertionError, match="syntax error"):
        postgres.execute("SELEC")


def test_leaves_nothing_behind() -> None:
    with running_postgres() as server:
        pid = int((server.folder / "data/postmaster.pid").read_text().split()[0])
        os.kill(pid, 0)
    assert not server.folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_the_url_names_the_dialect(database_url: str, request: pytest.FixtureRequest) -> None:
    expected = "sqlite+aiosqlite:///" if "sqlite" in request.node.name else "postgresql+asyncpg://"
    assert database_url.startswith(expected)
