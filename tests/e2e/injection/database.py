"""Several looks at the database behind a server, over one connection."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from typing import Any
from uuid import UUID

from tests.e2e.streams.store import connect_postgres, is_sqlite, sqlite_file
from tests.support.forking import ForkedServer


async def rows_of_each(server: ForkedServer, statements: Sequence[str], *ids: UUID) -> list[list[tuple[Any, ...]]]:
    """The rows of queries whose places for ids are written `{}`, all with the same ids."""
    if is_sqlite(server):
        written = [f"'{value.hex}'" for value in ids]
        with closing(sqlite3.connect(sqlite_file(server), timeout=30)) as connection:
            return [connection.execute(statement.format(*written)).fetchall() for statement in statements]
    written = [f"'{value}'" for value in ids]
    connection = await connect_postgres(server)
    try:
        return [[tuple(row) for row in await connection.fetch(statement.format(*written))] for statement in statements]
    finally:
        await connection.close()
