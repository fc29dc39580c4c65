"""Requests per minute of a tenant, of each of its keys and of each of its users."""

from collections.abc import Sequence
from math import ceil

from litestar.types import Scope

from retinue.coordination.base import Rates, Verdict
from retinue.domain.errors import RateLimited
from retinue.domain.limits import WINDOW_SECONDS, Asker, Bucket, buckets
from retinue.http.attendance import Attendance
from retinue.runs.limiting.book import LimitsBook
from retinue.security.principal import Principal

RATE_HEADERS = "rate_headers"
"""Where in a request's state the edge finds what to add to the answer, whatever that is."""


class RequestMeter:
    """Counts a request as soon as it is known who asks, and before anything else is done for it.

    The operator, and everybody in open mode, is not counted; nor are public routes, which ask nobody who they are.
    """

    def __init__(self, rates: Rates, book: LimitsBook, attendance: Attendance) -> None:
        self._rates = rates
        self._book = book
        self._attendance = attendance

    async def __call__(self, scope: Scope, principal: Principal) -> None:
        """Raises: RateLimited, `rate_limited`: too many within a minute, or at the same time."""
        if principal.tenant_id is None:
            return
        asker = Asker(tenant_id=principal.tenant_id, key_id=principal.key_id, user_id=principal.user_id)
        if asked := buckets(await self._book.of(principal.tenant_id), asker, "requests"):
            await self._count(scope, asked)
        self._attendance.enter(scope, principal.tenant_id, principal.user_id)

    async def _count(self, scope: Scope, asked: Sequence[Bucket]) -> None:
        verdict = await self._rates.take(asked)
        scope["state"][RATE_HEADERS] = _headers(verdict, asked)
        if not verdict.is_allowed:
            raise RateLimited(
                f"A {verdict.party} may send {verdict.limit} requests per minute.",
                headers={"Retry-After": str(max(ceil(verdict.wait), 1))},
            )


def _headers(verdict: Verdict, asked: Sequence[Bucket]) -> list[tuple[bytes, bytes]]:
    """Of the bucket that has least left; the policy names all of them (draft-ietf-httpapi-ratelimit-headers-06)."""
    policy = ", ".join(f"{bucket.per_minute};w={WINDOW_SECONDS}" for bucket in asked)
    return [
        (b"ratelimit-limit", b"%d" % verdict.limit),
        (b"ratelimit-remaining", b"%d" % verdict.remaining),
        (b"ratelimit-reset", b"%d" % ceil(verdict.reset)),
        (b"ratelimit-policy", policy.encode()),
    ]
