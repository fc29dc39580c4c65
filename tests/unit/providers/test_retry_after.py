from datetime import UTC, datetime

import httpx2
import pytest

from retinue.providers.retry_after import retry_after_of

NOON = datetime(2026, 11, 20, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "3"}, 3.0),
        ({"Retry-After": " 2.5 "}, 2.5),
        ({"Retry-After": "-1"}, 0.0),
        ({"Retry-After": "soon"}, None),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "inf"}, None),
        ({"Retry-After": "1e400"}, None),
        ({"Retry-After": ""}, None),
        ({"Retry-After": "Fri, 20 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Friday, 20-Nov-26 12:00:30 GMT"}, 30.0),
        ({"Retry-After": "Fri, 20 Nov 2026 12:00:30 -0000"}, 30.0),
        ({"Retry-After": "Fri, 20 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"Retry-After": "Fri, 99 Nov 2026 11:00:00 GMT"}, None),
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
        ({"retry-after-ms": "x", "Retry-After": "2"}, 2.0),
    ],
)
def test_pauses(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_of(httpx2.Headers(headers), at=NOON) == seconds
