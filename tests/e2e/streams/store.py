"""The database behind a server, read past the API."""

import sqlite3
from contextlib import closing
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import asyncpg  # type: ignore[import-untyped]

from tests.support.server import RetinueServer


class Call(NamedTuple):
    """A row of the ledger."""

    step: int
    tries: int
    outcome: str
    error_code: str | None
    is_closed: bool
    output_tokens: int | None


def sqlite_file(server: RetinueServer) -> str:
    return server.environment["RETINUE_DATABASE_URL"].partition("///")[2]


async def connect_postgres(server: RetinueServer) -> Any:
    url = urlsplit(server.environment["RETINUE_DATABASE_URL"])
    folder = parse_qs(url.query)["host"][0]
    return await asyncpg.connect(host=folder, user="postgres", database=url.path.strip("/"))


def is_sqlite(server: RetinueServer) -> bool:
    return server.environment["RETINUE_DATABASE_URL"].startswith("sqlite")


async def rows(server: RetinueServer, statement: str, *ids: UUID) -> list[tuple[Any, ...]]:
    """The rows of a query whose places for ids are written `{}`."""
    if is_sqlite(server):
        with closing(sqlite3.connect(sqlite_file(server), timeout=30)) as connection:
            return connection.execute(statement.format(*(f"'{value.hex}'" for value in ids))).fetchall()
    connection = await connect_postgres(server)
    try:
        return [tuple(row) for row in await connection.fetch(statement.format(*(f"'{value}'" for value in ids)))]
    finally:
        await connection.close()


async def execute(server: RetinueServer, statement: str) -> None:
    """Change something behind the server's back."""
    if is_sqlite(server):
        with closing(sqlite3.connect(sqlite_file(server), timeout=30, isolation_level=None)) as connection:
            connection.execute(statement)
        return
    connection = await connect_postgres(server)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


async def calls_of(server: RetinueServer, run: UUID | str) -> list[Call]:
    """The run's page of the ledger, in the order in which the calls were opened."""
    columns = "step, tries, outcome, error_code, closed_at IS NOT NULL, output_tokens"
    statement = f"SELECT {columns} FROM ledger WHERE run_id = {{}} ORDER BY id"
    found = await rows(server, statement, UUID(str(run)))
    return [Call(step, tries, word, code, bool(closed), output) for step, tries, word, code, closed, output in found]


async def run_status(server: RetinueServer, run: UUID | str) -> str:
    [[status]] = await rows(server, "SELECT status FROM runs WHERE id = {}", UUID(str(run)))
    return str(status)


async def has_stored(server: RetinueServer, run: UUID | str, event_id: str | None) -> bool | None:
    """True as soon as the stored log has come as far as this event; else nothing, so that one can wait for it."""
    [[last]] = await rows(server, "SELECT max(last_seq) FROM run_events WHERE run_id = {}", UUID(str(run)))
    return True if last is not None and last >= int((event_id or "").rpartition("-")[2]) else None


async def are_gone(server: RetinueServer, tenant: UUID, *tables: str) -> bool | None:
    """True as soon as none of these tables holds anything of a tenant; else nothing, so that one can wait for it."""
    found = [await rows(server, f"SELECT tenant_id FROM {table} WHERE tenant_id = {{}}", tenant) for table in tables]
    return True if not any(found) else None
