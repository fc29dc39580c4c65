"""Times in queries. Litestar's own reading would also take seconds since 1970, which nothing says it should."""

from datetime import datetime
from typing import Any

import msgspec

from retinue.domain.errors import FieldError, InvalidRequest

TIME: dict[str, Any] = {"format": "date-time"}
"""How the description of the API tells a time."""


def read_time(name: str, text: str | None) -> datetime | None:
    """The time that a parameter tells (RFC 3339).

    Raises:
        InvalidRequest: it is none, or tells no zone.
    """
    if text is None:
        return None
    try:
        at = msgspec.convert(text, datetime)
        if at.tzinfo is not None:
            return at
    except msgspec.ValidationError:
        pass
    raise not_a_time(name)


def not_a_time(name: str) -> InvalidRequest:
    detail = "A time with its zone, such as 2026-11-20T08:00:00Z."
    return InvalidRequest(f"Not valid: {name}.", errors=(FieldError(parameter=name, detail=detail),))
