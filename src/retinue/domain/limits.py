"""How much a tenant, each of its keys and each of its users may ask for."""

from collections.abc import Iterator
from datetime import datetime
from typing import Literal
from uuid import UUID

import msgspec

Party = Literal["tenant", "key", "user"]
"""Whom a bound is for: the tenant as a whole, every single key, every single user."""
PARTIES: tuple[Party, ...] = ("tenant", "key", "user")
Metered = Literal["requests", "tokens"]
"""What is counted by the minute."""
WINDOW_SECONDS = 60


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """Null leaves a bound to whoever is asked next; 0 means without a bound."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    """Input and output of all model calls together."""
    concurrent_runs: int | None = None
    """Runs that are being answered at the same time. One that is queued, or waits for a person, is not."""

    def per_minute(self, metered: Metered) -> int | None:
        return self.requests_per_minute if metered == "requests" else self.tokens_per_minute

    def in_force(self, defaults: "Bounds") -> "Bounds":
        """The bounds with these defaults; here null means without a bound."""
        names = Bounds.__struct_fields__
        return Bounds(**{name: _chosen(getattr(self, name), getattr(defaults, name)) for name in names})


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of a tenant, and of every key and every user that it has."""

    tenant: Bounds = Bounds()
    key: Bounds = Bounds()
    user: Bounds = Bounds()

    def of(self, party: Party) -> Bounds:
        bounds: Bounds = getattr(self, party)
        return bounds

    def in_force(self, defaults: "Limits") -> "Limits":
        """The limits with these defaults; here null means without a bound."""
        return Limits(**{party: self.of(party).in_force(defaults.of(party)) for party in PARTIES})

    @property
    def bounds_runs(self) -> bool:
        """Whether anybody's concurrent runs are bounded. Of limits that are in force."""
        return any(self.of(party).concurrent_runs is not None for party in PARTIES)


NO_BOUNDS = Limits()


class StoredLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator has chosen for a tenant."""

    limits: Limits
    updated_at: datetime


class Asker(msgspec.Struct, frozen=True, kw_only=True):
    """Whose bounds something counts against."""

    tenant_id: UUID
    key_id: UUID | None = None
    user_id: str | None = None

    def name(self, party: Party) -> str | None:
        """How the party is told from others of its kind in the tenant; null if there is none."""
        match party:
            case "tenant":
                return ""
            case "key":
                return None if self.key_id is None else str(self.key_id)
            case "user":
                return self.user_id


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """Holds what may be taken within a minute, and is refilled evenly."""

    tenant_id: UUID
    metered: Metered
    party: Party
    name: str
    """See `Asker.name`."""
    per_minute: int


def buckets(limits: Limits, asker: Asker, metered: Metered) -> tuple[Bucket, ...]:
    """The buckets that somebody takes from. The limits are those in force."""
    return tuple(_buckets(limits, asker, metered))


def _buckets(limits: Limits, asker: Asker, metered: Metered) -> Iterator[Bucket]:
    for party in PARTIES:
        per_minute, name = limits.of(party).per_minute(metered), asker.name(party)
        if per_minute is not None and name is not None:
            yield Bucket(tenant_id=asker.tenant_id, metered=metered, party=party, name=name, per_minute=per_minute)


def _chosen(own: int | None, default: int | None) -> int | None:
    return (default if own is None else own) or None
