"""Several statements of SQLite in one visit to the thread of their connection: to go there and back takes longer than
most of them.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any

from retinue.db.prepared import Prepared


class Several(str):
    """Stands for statements in the place of one."""

    __slots__ = ("parts",)
    parts: Sequence[tuple[Prepared, Sequence[Any]]]

    @classmethod
    def of(cls, parts: Sequence[tuple[Prepared, Sequence[Any]]]) -> "Several":
        several = cls("; ".join(prepared.sql for prepared, _ in parts))
        several.parts = parts
        return several


class ThreadsideConnection(sqlite3.Connection):
    """What aiosqlite has executed in the connection's thread."""

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        if not isinstance(sql, Several):
            return super().execute(sql, parameters)
        return _Answers([self._one(prepared, arguments) for prepared, arguments in sql.parts])

    def _one(self, prepared: Prepared, arguments: Sequence[Any]) -> tuple[int, Sequence[Any]]:
        cursor = super().execute(prepared.sql, arguments)
        rows = cursor.fetchall()
        # With RETURNING the count is known only when all rows were fetched.
        return cursor.rowcount, rows


class _Answers:
    def __init__(self, answers: Sequence[tuple[int, Sequence[Any]]]) -> None:
        self._answers = answers

    def fetchall(self) -> Sequence[tuple[int, Sequence[Any]]]:
        """For each statement, how many rows it touched, and what it returned."""
        return self._answers
