"""What repositories that are not about one tenant share."""

from collections.abc import Callable, MutableMapping, Sequence
from typing import Any

from retinue.db.executor import Executor
from retinue.db.prepared import Prepared


class AcrossTenants:
    """Its prepared statements may know the dialect and nothing else of the unit that is the first to ask."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._dialect = executor.dialect

    @property
    def _known(self) -> MutableMapping[object, Prepared]:
        return self._dialect.prepared

    @property
    def _asks_for(self) -> tuple[Any, ...]:
        return ()

    def _prepare(self, build: Callable[[Any], Any], parameters: Sequence[str]) -> Prepared:
        return Prepared(build(self), self._executor.connection.dialect, parameters)
