"""Several statements of SQLite in one visit to the thread of their connection: to go there and back takes longer than
most of them.
"""

import sqlite3
from collections.abc import Sequence
from typing import Any, NamedTuple

Statement = tuple[str, Sequence[Any]]
"""With its arguments."""


class Answer(NamedTuple):
    touched: int
    """How many rows."""
    rows: Sequence[Any]
    """What it returned."""


class Several(str):
    """Stands for statements in the place of one."""

    __slots__ = ("statements",)
    statements: Sequence[Statement]

    @classmethod
    def of(cls, statements: Sequence[Statement]) -> "Several":
        several = cls("; ".join(sql for sql, _ in statements))
        several.statements = statements
        return several


class ThreadsideConnection(sqlite3.Connection):
    """What aiosqlite has executed in the connection's thread."""

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        if not isinstance(sql, Several):
            return super().execute(sql, parameters)
        return _Answers([self._one(*statement) for statement in sql.statements])

    def _one(self, sql: str, arguments: Sequence[Any]) -> Answer:
        cursor = super().execute(sql, arguments)
        rows = cursor.fetchall()
        # With RETURNING the count is known only when all rows were fetched.
        return Answer(cursor.rowcount, rows)


class _Answers:
    def __init__(self, answers: Sequence[Answer]) -> None:
        self._answers = answers

    def fetchall(self) -> Sequence[Answer]:
        """One for each statement."""
        return self._answers
