"""What repositories that are not about one tenant share."""

from collections.abc import Callable, Sequence
from typing import Any

from retinue.db.prepared import Prepared
from retinue.db.repositories.preparing import Preparing


class AcrossTenants(Preparing):
    """Its prepared statements may know the dialect and nothing else of the unit that is the first to ask."""

    @property
    def _asks_for(self) -> tuple[Any, ...]:
        return ()

    def _prepare(self, build: Callable[[Any], Any], parameters: Sequence[str]) -> Prepared:
        return Prepared(build(self), self._executor.connection.dialect, parameters)
