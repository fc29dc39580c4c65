"""Bodies and answers of limits."""

from typing import Annotated

import msgspec
from msgspec import Meta

from retinue.domain.limits import PARTIES, Bounds, Limits
from retinue.http.schemas import MAX_INT, RequestBody

Bound = Annotated[int, Meta(ge=0, le=MAX_INT, examples=[600])]


class BoundsPut(RequestBody, frozen=True, kw_only=True):
    """Null takes the server's default; 0 is without a bound."""

    requests_per_minute: Bound | None = None
    tokens_per_minute: Bound | None = None
    """Input and output of all model calls together."""
    concurrent_runs: Bound | None = None
    """Answers that are being written at the same time. Queued ones, and such as wait for a person, are not."""

    @property
    def bounds(self) -> Bounds:
        return Bounds(**msgspec.structs.asdict(self))


class LimitsPut(RequestBody, frozen=True, kw_only=True):
    """All limits; what is left out takes the server's default."""

    tenant: BoundsPut = BoundsPut()
    """The tenant as a whole."""
    key: BoundsPut = BoundsPut()
    """Every single key, with the user tokens that it has made."""
    user: BoundsPut = BoundsPut()
    """Every single user: requests with their tokens, and runs in their conversations."""

    @property
    def limits(self) -> Limits:
        return Limits(tenant=self.tenant.bounds, key=self.key.bounds, user=self.user.bounds)


class ShownLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What was chosen for the tenant: null is the server's default, 0 is without a bound."""

    tenant: Bounds
    key: Bounds
    user: Bounds
    in_force: Limits
    """What that comes to with the server's defaults. Here null is without a bound."""


def shown(limits: Limits, defaults: Limits) -> ShownLimits:
    return ShownLimits(**{party: limits.of(party) for party in PARTIES}, in_force=limits.in_force(defaults))
