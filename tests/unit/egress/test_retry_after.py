"""How long a server asks to be left alone."""

from datetime import UTC, datetime

import pytest

from retinue.egress.retry_after import retry_after_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 0 ", 0.0),
        ("Sun, 01 Mar 2026 12:00:30 GMT", 30.0),
        ("Sun, 01 Mar 2026 12:00:30 -0000", 30.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        *((text, None) for text in ("", "soon", "-1", "1.5", "nan", "1e9", "٣", "9" * 400)),
        *((text, None) for text in ("Sun, 99 Mar 2026 12:00:00 GMT", "Sun, 01 Mar 99999 12:00:00 GMT")),
    ],
)
def test_the_pause(text: str, seconds: float | None) -> None:
    assert retry_after_of({"retry-after": text}, at=NOON) == seconds


def test_no_word_of_a_pause() -> None:
    assert retry_after_of({}) is None
