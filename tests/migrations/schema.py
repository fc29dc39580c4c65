"""Looking at a database as it is."""

from collections.abc import Callable
from typing import Any, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from tests.support.roles import owner_url

T = TypeVar("T")


async def look(url: str, work: Callable[[sa.Connection], T]) -> T:
    """Whatever the work finds, or does, in a transaction of its own."""
    engine = create_async_engine(owner_url(url))
    try:
        async with engine.begin() as connection:
            if engine.name == "postgresql":
                await connection.execute(sa.text("SET LOCAL retinue.migrates = on"))
            return await connection.run_sync(work)
    finally:
        await engine.dispose()


def described(connection: sa.Connection) -> dict[str, Any]:
    """Columns, indexes with their conditions, and keys."""
    inspector = sa.inspect(connection)
    return {
        table: (
            sorted(
                (column["name"], str(column["type"]), column["nullable"]) for column in inspector.get_columns(table)
            ),
            sorted(
                (str(index["name"]), index["column_names"], bool(index["unique"]), condition(index))
                for index in inspector.get_indexes(table)
            ),
            inspector.get_pk_constraint(table),
            sorted(
                (str(key["name"]), key["constrained_columns"], key["referred_table"], key["options"].get("ondelete"))
                for key in inspector.get_foreign_keys(table)
            ),
            sorted(str(key["name"]) for key in inspector.get_unique_constraints(table)),
        )
        for table in inspector.get_table_names()
    }


def condition(index: Any) -> str:
    """Of a partial index; empty for others."""
    options = index.get("dialect_options", {})
    return str(options.get("sqlite_where", options.get("postgresql_where", "")))


def conditions(connection: sa.Connection) -> dict[str, str]:
    inspector = sa.inspect(connection)
    return {
        str(index["name"]): condition(index)
        for table in inspector.get_table_names()
        for index in inspector.get_indexes(table)
    }
