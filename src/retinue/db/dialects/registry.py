"""The databases there are. A new one is one file and one line here."""

import sqlalchemy as sa

from retinue.db.dialects.base import Dialect
from retinue.db.dialects.postgresql import PostgreSQL
from retinue.db.dialects.sqlite import SQLite

DIALECTS: dict[str, type[Dialect]] = {
    "sqlite+aiosqlite": SQLite,
    "postgresql+asyncpg": PostgreSQL,
}


def dialect_for(url: sa.URL) -> Dialect:
    """A fresh dialect for an engine of this URL.

    Raises:
        ValueError: no such database is known. The message does not repeat the URL, which may hold a password.
    """
    try:
        return DIALECTS[url.drivername]()
    except KeyError:
        known = ", ".join(f"{name}://" for name in DIALECTS)
        raise ValueError(f"a database URL begins with one of {known}") from None
