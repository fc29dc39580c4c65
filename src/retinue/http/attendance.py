"""Requests of tenants that are being answered; most of them, at any time, are streams that somebody reads."""

from collections import Counter
from functools import partial
from uuid import UUID

from litestar.types import Scope

from retinue.domain.errors import RateLimited

LEAVE = "leave"
"""Where in a request's state the edge finds what to call at its end, however it ends."""
USERS_SHARE = 8
"""One user has at most one of so many places of the tenant."""
RETRY_SECONDS = 5
"""Nobody knows when a stream will end."""

_Place = tuple[UUID, str | None]
"""A tenant's, or that of one of its users."""


class Attendance:
    """Bounds how many of a process's connections one tenant holds, and one user of it. Rates would not: a stream is one
    request, however long it is read.
    """

    def __init__(self, most: int) -> None:
        """
        Args:
            most: requests of one tenant.
        """
        self._most = most
        self._present: Counter[_Place] = Counter()

    def enter(self, scope: Scope, tenant_id: UUID, user_id: str | None = None) -> None:
        """
        Args:
            user_id: who asks with a token of his own.

        Raises:
            RateLimited.
        """
        places: list[_Place] = [(tenant_id, None)]
        self._refuse_if_full(places[0], "tenant", self._most)
        if user_id is not None:
            places.append((tenant_id, user_id))
            self._refuse_if_full(places[1], "user", max(self._most // USERS_SHARE, 1))
        self._present.update(places)
        scope["state"][LEAVE] = partial(self._leave, places)

    def _refuse_if_full(self, place: _Place, party: str, most: int) -> None:
        if self._present[place] >= most:
            raise RateLimited(
                f"A {party} may have {most} requests answered at the same time, open streams included.",
                headers={"Retry-After": str(RETRY_SECONDS)},
            )

    def _leave(self, places: list[_Place]) -> None:
        for place in places:
            self._present[place] -= 1
            if not self._present[place]:
                del self._present[place]
