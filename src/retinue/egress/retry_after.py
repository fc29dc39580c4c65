"""How long a server asks to be left alone (RFC 9110, 10.2.3)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from retinue.domain.ids import now

_SECONDS = re.compile(r"[0-9]{1,9}")


def retry_after_of(headers: Mapping[str, str], *, at: datetime | None = None) -> float | None:
    """Seconds to wait, never negative; null if the server does not say, or says something unreadable."""
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000": UTC by RFC 5322
        moment = moment.replace(tzinfo=UTC)
    return max((moment - (at or now())).total_seconds(), 0.0)
