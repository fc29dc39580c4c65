"""Statements are compiled once per test process, not once per database: that is a quarter of many a test's time.

SQLAlchemy keeps what it has compiled with the engine, by the dialect that it was compiled for. Here all dialects of a
kind that write JSON the same way are one.
"""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.dialects.postgresql.asyncpg import PGDialect_asyncpg
from sqlalchemy.dialects.sqlite.aiosqlite import SQLiteDialect_aiosqlite
from sqlalchemy.engine import Engine
from sqlalchemy.util import LRUCache

from retinue.db.dialects.postgresql import PostgreSQL
from retinue.db.dialects.sqlite import SQLite
from retinue.db.prepared import Prepared

SIZE = 5000
_kept: defaultdict[Any, LRUCache[Any, Any]] = defaultdict(lambda: LRUCache(SIZE))
_prepared: defaultdict[type, dict[object, Prepared]] = defaultdict(dict)


def share_compiled_statements() -> None:
    """From now on, among all engines of this process."""
    for kind in (PGDialect_asyncpg, SQLiteDialect_aiosqlite):
        dialect: Any = kind
        dialect.__eq__ = lambda one, other: _form(one) == _form(other)
        dialect.__hash__ = lambda one: hash(_form(one))
    for own in (PostgreSQL, SQLite):
        vars_of_class: Any = own
        vars_of_class.prepared = property(lambda one: _prepared[type(one)], lambda *_: None)
    engine: Any = Engine
    engine._compiled_cache = property(lambda one: _kept[type(one.dialect)], lambda *_: None)


@contextmanager
def with_statements_of_their_own() -> Iterator[None]:
    """Inside, statements are built anew, because they come out otherwise."""
    before, after = dict(_prepared), _prepared
    after.clear()
    try:
        yield
    finally:
        after.clear()
        after.update(before)


def _form(dialect: Any) -> tuple[object, ...]:
    return type(dialect), getattr(dialect, "_json_serializer", None), getattr(dialect, "_json_deserializer", None)
