"""What all repositories share."""

from collections.abc import MutableMapping

from retinue.db.executor import Executor
from retinue.db.prepared import Prepared


class Preparing:
    """Its statements may be built once for its database; see `db.prepared`."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._dialect = executor.dialect

    @property
    def _known(self) -> MutableMapping[object, Prepared]:
        return self._dialect.prepared
