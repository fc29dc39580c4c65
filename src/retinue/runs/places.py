"""The places for runs in this process, and how tenants share them."""

import time
from collections import Counter
from collections.abc import Callable
from uuid import UUID

WANTS_SECONDS = 10.0
"""So long a tenant that was turned away counts as one that wants a place."""
RESERVE = 10
"""One of so many places is kept for tenants that hold less than an equal part."""
MAX_TURNED_AWAY = 10_000


class Places:
    """A tenant that is alone may hold them all. As soon as another one holds or wants some, nobody gets a place beyond
    a fixed share any more, and the last tenth of the places is only for those who hold less than an equal part. What
    somebody holds is never taken away.
    """

    def __init__(self, count: int, *, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        """
        Args:
            share: the part of all places that one of several tenants may hold.
        """
        self._count = count
        self._most = max(int(count * share), 1)
        self._clock = clock
        self._held: Counter[UUID] = Counter()
        self._turned_away: dict[UUID, float] = {}

    @property
    def free(self) -> int:
        return max(self._count - self._held.total(), 0)

    def has_one_for(self, tenant_id: UUID) -> bool:
        """Whether the tenant may take one more; if not, it is remembered that it wanted one."""
        if self._may_enter(tenant_id):
            self._turned_away.pop(tenant_id, None)
            return True
        if len(self._turned_away) >= MAX_TURNED_AWAY:
            self._turned_away.clear()
        self._turned_away[tenant_id] = self._clock()
        return False

    def take(self, tenant_id: UUID) -> None:
        self._held[tenant_id] += 1

    def leave(self, tenant_id: UUID) -> None:
        self._held[tenant_id] -= 1
        if not self._held[tenant_id]:
            del self._held[tenant_id]

    def _may_enter(self, tenant_id: UUID) -> bool:
        free, held = self.free, self._held.get(tenant_id, 0)
        if not free:
            return False
        tenants = len(self._rivals() | {tenant_id})
        if tenants == 1:
            return True
        if held >= self._most:
            return False
        return free > self._count // RESERVE or held < self._count / tenants

    def _rivals(self) -> set[UUID]:
        since = self._clock() - WANTS_SECONDS
        self._turned_away = {tenant: at for tenant, at in self._turned_away.items() if at > since}
        return self._held.keys() | self._turned_away.keys()
