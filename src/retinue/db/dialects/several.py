"""Several statements of SQLite in one visit to the thread of their connection: to go there and back takes longer than
most of them.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

from retinue.db.changes import Outcome
from retinue.db.connection import Connection
from retinue.db.prepared import Prepared
from retinue.db.scripts import Commit, Course, Parts, Query

R = TypeVar("R")


class Answer(NamedTuple):
    touched: int
    """How many rows."""
    rows: Sequence[Any]
    """What it returned."""


Ask = Callable[[str, Sequence[Any]], Answer]
"""A statement with its arguments."""
Work = Callable[[Ask], Any]
"""Asks whatever it likes."""


class Several(str):
    """Stands for work in the place of a statement."""

    __slots__ = ("work",)
    work: Work

    @classmethod
    def of(cls, work: Work) -> "Several":
        several = cls("several statements")
        several.work = work
        return several


class ThreadsideConnection(sqlite3.Connection):
    """What aiosqlite has executed in the connection's thread."""

    def execute(self, sql: str, parameters: Any = (), /) -> Any:
        if not isinstance(sql, Several):
            return super().execute(sql, parameters)
        return _Result(sql.work(self._one))

    def _one(self, sql: str, arguments: Sequence[Any]) -> Answer:
        cursor = super().execute(sql, arguments)
        rows = cursor.fetchall()
        # With RETURNING the count is known only when all rows were fetched.
        return Answer(cursor.rowcount, rows)


class _Result:
    def __init__(self, result: Any) -> None:
        self._result = result

    def fetchall(self) -> Any:
        """What came of the work."""
        return self._result


async def visit(connection: Connection, work: Callable[[Ask], R]) -> R:
    """Work in the connection's thread, where the transaction begins if it has not."""
    opening = connection.take_opening()

    def begin_and_work(ask: Ask) -> R:
        if opening is not None:
            ask(opening, ())
        return work(ask)

    result: R = await connection.driver.execute_fetchall(Several.of(begin_and_work))
    return result


def performed(connection: Connection, course: Course[R], ask: Ask) -> R:
    found: Any = None
    try:
        while True:
            match course.send(found):
                case Query(sql, arguments):
                    found = ask(sql, arguments).rows
                case Commit():
                    ask("COMMIT", ())
                    connection.is_committed = True
                case parts:
                    found = outcomes(ask, parts)
    except StopIteration as end:
        result: R = end.value
        return result


def outcomes(ask: Ask, parts: Parts) -> Sequence[Outcome]:
    return [_outcome(prepared, ask(prepared.sql, arguments)) for prepared, arguments in parts]


def _outcome(prepared: Prepared, answer: Answer) -> Outcome:
    return Outcome(answer.touched, prepared.rows(answer.rows)[0] if answer.rows else None)
