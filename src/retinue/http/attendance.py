"""Requests of tenants that are being answered; most of them, at any time, are streams that somebody reads."""

from collections import Counter
from functools import partial
from uuid import UUID

from litestar.types import Scope

from retinue.domain.errors import RateLimited

LEAVE = "leave"
"""Where in a request's state the edge finds what to call at its end, however it ends."""
RETRY_SECONDS = 5
"""Nobody knows when a stream will end."""


class Attendance:
    """Bounds how many of a process's connections one tenant holds. Rates would not: a stream is one request, however
    long it is read.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._present: Counter[UUID] = Counter()

    def enter(self, scope: Scope, tenant_id: UUID) -> None:
        """Raises: RateLimited."""
        if self._present[tenant_id] >= self._most:
            raise RateLimited(
                f"A tenant may have {self._most} requests answered at the same time, open streams included.",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )
        self._present[tenant_id] += 1
        scope["state"][LEAVE] = partial(self._leave, tenant_id)

    def _leave(self, tenant_id: UUID) -> None:
        self._present[tenant_id] -= 1
        if not self._present[tenant_id]:
            del self._present[tenant_id]
