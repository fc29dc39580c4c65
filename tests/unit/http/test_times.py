"""Times in queries."""

from datetime import UTC, datetime, timedelta

import pytest

from retinue.domain.errors import InvalidRequest
from retinue.http.times import read_time

MORNING = datetime(2026, 11, 20, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        (None, None),
        ("2026-11-20T08:00:00Z", MORNING),
        ("2026-11-20t10:00:00+02:00", MORNING),
        ("2026-11-20T08:00:00.25Z", MORNING + timedelta(milliseconds=250)),
    ],
)
def test_times_with_a_zone_are_read(text: str | None, time: datetime | None) -> None:
    assert read_time("since", text) == time


@pytest.mark.parametrize("text", ["", "now", "2026-11-20", "2026-11-20T08:00:00", "1795161600", "0.5", "-1", "null"])
def test_everything_else_is_refused_by_the_parameters_name(text: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        read_time("since", text)
    assert [error.parameter for error in caught.value.errors] == ["since"]
