"""How long a provider asks to be left alone (RFC 9110, 10.2.3)."""

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from retinue.domain.ids import now


def retry_after_of(headers: Mapping[str, str], *, at: datetime | None = None) -> float | None:
    """Seconds to wait, never negative; null if the provider does not say, or says something unreadable.

    `retry-after-ms`, which OpenAI sends as well, is more precise and wins.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    text = headers.get("retry-after", "").strip()
    seconds = _number(text)
    return seconds if seconds is not None else _until(text, at or now())


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return max(value, 0.0) if math.isfinite(value) else None


def _until(text: str, at: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000": UTC by RFC 5322
        moment = moment.replace(tzinfo=UTC)
    return max((moment - at).total_seconds(), 0.0)
