"""Statements are compiled once per test process, not once per database: that is a quarter of many a test's time.

SQLAlchemy keeps what it has compiled with the engine, by the dialect that it was compiled for. Here all dialects of a
kind that write JSON the same way are one.
"""

from collections import defaultdict
from typing import Any

from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

SIZE = 5000
_kept: defaultdict[Any, LRUCache[Any, Any]] = defaultdict(lambda: LRUCache(SIZE))


def share_compiled_statements() -> None:
    """From now on, among all engines of this process."""
    for kind in (PGDialect_asyncpg, SQLiteDialect_aiosqlite):
        dialect: Any = kind
        dialect.__eq__ = lambda one, other: _form(one) == _form(other)
        dialect.__hash__ = lambda one: hash(_form(one))
    engine: Any = Engine
    engine._compiled_cache = property(lambda one: _kept[type(one.dialect)], lambda *_: None)


def _form(dialect: Any) -> tuple[object, ...]:
    return type(dialect), getattr(dialect, "_json_serializer", None), getattr(dialect, "_json_deserializer", None)
