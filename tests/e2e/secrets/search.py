"""Looks for words in everything that a server has, past its API."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import redis

from tests.e2e.injection.search import traces
from tests.e2e.streams.store import connect_postgres, is_sqlite, sqlite_file
from tests.support.forking import ForkedServer

_TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"


async def tables_of(server: ForkedServer) -> dict[str, str]:
    """All rows of all tables."""
    if is_sqlite(server):
        with closing(sqlite3.connect(sqlite_file(server), timeout=30)) as connection:
            names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return {name: _text(connection.execute(f'SELECT * FROM "{name}"').fetchall()) for name in names}
    connection = await connect_postgres(server)
    try:
        names = [name for (name,) in await connection.fetch(_TABLES)]
        return {name: _text(await connection.fetch(f'SELECT * FROM "{name}"')) for name in names}
    finally:
        await connection.close()


def files_of_database(server: ForkedServer) -> dict[str, str]:
    """The bytes of SQLite's files, also those that no row has any more."""
    if not is_sqlite(server):
        return {}
    file = Path(sqlite_file(server))
    return {path.name: path.read_bytes().decode("latin-1") for path in file.parent.glob(f"{file.name}*")}


def files_under(folder: Path) -> dict[str, str]:
    """What files are called, and what is in them."""
    return {str(path): path.read_bytes().decode("latin-1") if path.is_file() else "" for path in folder.rglob("*")}


def keys_in_redis(url: str) -> dict[str, str]:
    """All keys with all that is in them."""
    client = redis.Redis(port=urlsplit(url).port or 0, socket_timeout=5, protocol=2)
    try:
        return {key.decode("latin-1"): (client.dump(key) or b"").decode("latin-1") for key in client.scan_iter("*")}
    finally:
        client.close()


def found_in(places: dict[str, str], words: dict[str, str]) -> list[tuple[str, str]]:
    """Which word stands in which place, or in its name, also in simple disguises."""
    forms = [(name, trace) for name, word in words.items() for trace in traces(word)]
    return sorted({(name, place) for place, text in places.items() for name, form in forms if form in place + text})


def _text(rows: list[tuple[object, ...]]) -> str:
    return "\n".join("\t".join(_value(value) for value in tuple(row)) for row in rows)


def _value(value: object) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)
