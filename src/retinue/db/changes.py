"""Changes that are carried out together."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Generic, NamedTuple, TypeVar

from retinue.db.prepared import Asked, Prepared, Row

R = TypeVar("R", covariant=True)  # noqa: PLC0105
_PLACE = re.compile(r"\$(\d+)")


class Outcome(NamedTuple):
    """What came of one of several changes."""

    touched: int
    """How many rows."""
    row: Row | None
    """What it returned."""


class Change(NamedTuple, Generic[R]):
    """An insert, update or delete that is not carried out yet. What it returns is one row at most."""

    asked: Asked
    tell: Callable[[Outcome], R]
    """What it means for whoever wanted it; may raise."""


class Joint:
    """Several prepared changes as one statement of PostgreSQL, which sees none of their effects while it works.

    Their order is that of the counts it selects: each is complete before the next begins.
    """

    def __init__(self, parts: Sequence[Prepared]) -> None:
        self._parts = parts
        queries: list[str] = []
        selected: list[str] = []
        places = 0
        for number, part in enumerate(parts):
            name = f"part_{number}"
            returned = part.returned
            sql = part.sql if returned else f"{part.sql} RETURNING 1"
            queries.append(f"{name} AS ({_moved(sql, places)})")
            selected += [f"(SELECT {what} FROM {name})" for what in ("count(*)", *returned)]  # noqa: S608
            places += len(set(_PLACE.findall(sql)))
        self.sql = f"WITH {', '.join(queries)} SELECT {', '.join(selected)}"

    def outcomes(self, record: Sequence[Any]) -> list[Outcome]:
        found: list[Outcome] = []
        place = 0
        for part in self._parts:
            end = place + 1 + len(part.returned)
            touched, values = record[place], record[place + 1 : end]
            found.append(Outcome(touched, part.rows([values])[0] if touched and values else None))
            place = end
        return found


def _moved(sql: str, places: int) -> str:
    return _PLACE.sub(lambda match: f"${int(match[1]) + places}", sql)
