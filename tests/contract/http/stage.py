"""One application for all tests of a process: putting one together takes longer than most of them."""

from collections.abc import Callable
from functools import cache
from typing import Any

from litestar import Litestar

from retinue.db.session import Database
from tests.contract.http.api import Calls, make_litestar


class StandIn:
    """Has whatever the one has for whom it stands at the moment."""

    def __init__(self, find: Callable[[], Any]) -> None:
        self._find = find

    def __getattr__(self, name: str) -> Any:
        return getattr(self._find(), name)


class LateCalls(StandIn):
    """Of what it has been asked for, it is found out who that is when it is called."""

    def __getattr__(self, name: str) -> "LateCalls":
        return LateCalls(lambda: getattr(self._find(), name))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._find()(*args, **kwargs)


class Stage:
    """The application, for whoever plays at the moment."""

    def __init__(self, operator_key: str | None) -> None:
        self._cast: tuple[Any, Any, Any] = (None, None, Calls())
        database: Any = StandIn(lambda: self._cast[0])
        calls: Any = LateCalls(lambda: self._cast[2])
        self._litestar = make_litestar(database, StandIn(lambda: self._cast[1]), calls, operator_key)

    def set(self, database: Database, providers: Any, calls: Calls) -> Litestar:
        """Nobody else may be playing."""
        calls.approvals.database = database
        self._cast = (database, providers, calls)
        return self._litestar


@cache
def stage(operator_key: str | None = None) -> Stage:
    return Stage(operator_key)
