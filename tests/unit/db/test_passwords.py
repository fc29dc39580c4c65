"""Passwords of the roles that `retinue migrate` creates: PostgreSQL itself judges them."""

from collections.abc import Iterator
from typing import Any

import asyncpg  # type: ignore[import-untyped]
import pytest

from retinue.db.row_security.passwords import verifier
from tests.support.databases import Postgres

NAME = "proves_itself"


@pytest.fixture
def strict(postgres: Postgres) -> Iterator[Postgres]:
    """A server that asks one role for its password."""
    rules = postgres.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all {NAME} scram-sha-256\n{before}")
    postgres.execute(f"SELECT pg_reload_conf(); CREATE ROLE {NAME} LOGIN")
    yield postgres
    rules.write_text(before)
    postgres.execute(f"SELECT pg_reload_conf(); DROP ROLE {NAME}")


async def _enter(postgres: Postgres, password: str) -> Any:
    connection = await asyncpg.connect(host=str(postgres.folder), user=NAME, password=password, database="postgres")
    try:
        return await connection.fetchval("SELECT current_user")
    finally:
        await connection.close()


@pytest.mark.parametrize("password", ["letters1", "a b:c/d@e%", "grün\u00a0\u00ad\u2168"])
async def test_the_password_opens_and_another_does_not(strict: Postgres, password: str) -> None:
    strict.execute(f"ALTER ROLE {NAME} PASSWORD '{verifier(password)}'")
    assert await _enter(strict, password) == NAME
    with pytest.raises(asyncpg.InvalidPasswordError):
        await _enter(strict, password + "x")


def test_nothing_of_the_password_is_in_it_and_no_two_are_alike() -> None:
    first, second = verifier("letters1"), verifier("letters1")
    assert first != second
    assert "letters1" not in first
