"""Bodies and answers of keys."""

from typing import Annotated

from msgspec import Meta

from retinue.domain.access import ApiKey, Role
from retinue.http.schemas import YEAR_SECONDS, Name, RequestBody

Lifetime = Annotated[int, Meta(ge=60, le=10 * YEAR_SECONDS, examples=[7_776_000])]
Grace = Annotated[int, Meta(ge=0, le=30 * 86_400, examples=[86_400])]


class KeyCreate(RequestBody, frozen=True, kw_only=True):
    name: Name
    role: Role
    """`admin`: everything of the tenant. `member`: read, talk, decide, and make user tokens. `viewer`: read."""
    expires_in_seconds: Lifetime | None = None
    """Null: it does not expire."""


class KeyRotate(RequestBody, frozen=True, kw_only=True):
    grace_seconds: Grace = 86_400
    """So long both keys open what the old one opened; 0 ends the old one at once."""
    expires_in_seconds: Lifetime | None = None
    """Of the new key. Null: it does not expire, also where the old one did."""


class NewKey(ApiKey, frozen=True, kw_only=True):
    """A key that was just made."""

    key: str | None
    """The key itself, shown this once. Null in the answer to a repeated request: Retinue does not have it any more."""
