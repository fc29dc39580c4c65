"""Databases for servers that tests start, stop and kill themselves."""

from collections.abc import Iterator

import pytest

from tests.support.databases import Postgres


@pytest.fixture
def database(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    """The URL of a PostgreSQL database with the newest schema and nothing in it."""
    with postgres.database(template=migrated_template) as url:
        yield url
