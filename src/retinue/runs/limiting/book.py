"""The limits in force, read from the database and for a moment remembered."""

import asyncio
from collections import OrderedDict
from uuid import UUID

import structlog

from retinue.db.session import Database
from retinue.domain.errors import RetinueError
from retinue.domain.limits import Limits
from retinue.runs.sharing import Shared

FRESH_SECONDS = 4.0
"""So long limits that were changed elsewhere stay what they were here."""
MAX_TENANTS = 10_000

_log = structlog.get_logger(__name__)


class LimitsBook:
    """Every replica has one. While the database is away, what was known last is in force."""

    def __init__(self, database: Database, defaults: Limits) -> None:
        self._database = database
        self.defaults = defaults
        self._nothing_chosen = Limits().in_force(defaults)
        self._known: OrderedDict[UUID, tuple[float, Limits]] = OrderedDict()
        self._reads: Shared[Limits] = Shared()

    async def of(self, tenant_id: UUID) -> Limits:
        """A tenant's limits as they were at most `FRESH_SECONDS` ago; null in them means without a bound. Not to be
        called inside a unit of work. Raises nothing.
        """
        known = self._known.get(tenant_id)
        if known is not None and asyncio.get_running_loop().time() - known[0] < FRESH_SECONDS:
            return known[1]
        try:
            return await self._reads.recent(tenant_id, lambda: self._read(tenant_id), lambda _: 0.0)
        except RetinueError as error:
            _log.warning("limits_not_read", tenant_id=str(tenant_id), code=error.problem_code)
            return known[1] if known is not None else self._nothing_chosen

    def forget(self, tenant_id: UUID) -> None:
        """The tenant's limits were changed here."""
        self._known.pop(tenant_id, None)

    async def _read(self, tenant_id: UUID) -> Limits:
        asked_at = asyncio.get_running_loop().time()
        async with self._database.unit(tenant_id, read_only=True) as unit:
            stored = await unit.limits.get()
        limits = self._nothing_chosen if stored is None else stored.limits.in_force(self.defaults)
        self._known[tenant_id] = (asked_at, limits)
        self._known.move_to_end(tenant_id)
        if len(self._known) > MAX_TENANTS:
            self._known.popitem(last=False)
        return limits
