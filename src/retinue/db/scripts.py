"""What is asked one after the other, written without saying how it gets to the database and back.

Where the way there takes longer than the answer, on SQLite, whoever carries a script out goes once, and does all of it
there: in the thread of the connection. So a script may touch nothing but values and what is its own.
"""

from collections.abc import Generator, Sequence
from typing import Any, Final, NamedTuple, TypeVar

from retinue.db.changes import Change
from retinue.db.prepared import Asked, Prepared

R = TypeVar("R")

Script = Generator[Asked | Sequence[Change[Any]], Any, R]
"""Yields a statement, and is sent its rows; or changes, as for `Executor.together`, and is sent what each of them
tells. What goes wrong in the database is not told to it, but to whoever has it carried out.
"""


class Query(NamedTuple):
    sql: str
    arguments: Sequence[Any]


Parts = Sequence[tuple[Prepared, Sequence[Any]]]
"""Changes, with their arguments."""


class Commit:
    """It was the last that the transaction had to do."""


COMMIT: Final = Commit()

Course = Generator[Query | Parts | Commit, Any, R]
"""A script in the words of a database. It is sent the records of a query, and the outcomes of changes."""
