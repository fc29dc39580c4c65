"""Bodies and answers of origins."""

from typing import Annotated

import msgspec
from msgspec import Meta

from retinue.http.schemas import RequestBody

_ORIGIN = r"^https?://(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(?::[1-9][0-9]{0,4})?(?![\s\S])"
"""As browsers write origins: lower case, no path, no default port."""
Origin = Annotated[str, Meta(min_length=8, max_length=300, pattern=_ORIGIN, examples=["https://app.example.com"])]


class OriginsPut(RequestBody, frozen=True, kw_only=True):
    origins: Annotated[tuple[Origin, ...], Meta(max_length=50)]
    """All of them, exactly as browsers write them. Patterns do not exist."""


class Origins(msgspec.Struct, frozen=True, kw_only=True):
    """The origins whose pages may read answers to this tenant's credentials."""

    origins: tuple[str, ...]
