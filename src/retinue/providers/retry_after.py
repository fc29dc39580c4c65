"""How long a provider asks to be left alone (RFC 9110, 10.2.3)."""

import math
from collections.abc import Mapping
from datetime import datetime

from retinue.egress import retry_after as standard


def retry_after_of(headers: Mapping[str, str], *, at: datetime | None = None) -> float | None:
    """Seconds to wait, never negative; null if the provider does not say, or says something unreadable.

    `retry-after-ms`, which OpenAI sends as well, is more precise and wins. Fractions of a second are read, too.
    """
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return milliseconds / 1000
    seconds = _number(headers.get("retry-after", ""))
    return seconds if seconds is not None else standard.retry_after_of(headers, at=at)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return max(value, 0.0) if math.isfinite(value) else None
