"""`current_time` and `fallback_respond`."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfoNotFoundError

import pytest

from retinue.domain.errors import ToolError
from retinue.domain.tools import ToolErrorKind
from retinue.tools.builtin import current_time
from retinue.tools.builtin.current_time import CurrentTime
from retinue.tools.builtin.fallback import FallbackRespond
from tests.unit.tools.builtin.calls import called


@pytest.mark.parametrize(
    ("zone", "time", "weekday"),
    [
        ("UTC", "2026-07-05T23:30:00+00:00", "Sunday"),
        ("Europe/Berlin", "2026-07-06T01:30:00+02:00", "Monday"),
        ("America/New_York", "2026-07-05T19:30:00-04:00", "Sunday"),
        ("Asia/Kolkata", "2026-07-06T05:00:00+05:30", "Monday"),
    ],
)
async def test_the_time_in_a_zone(zone: str, time: str, weekday: str) -> None:
    tool = CurrentTime(lambda: datetime(2026, 7, 5, 23, 30, 0, 999, tzinfo=UTC))
    assert await called(tool, timezone=zone) == {"time": time, "weekday": weekday, "timezone": zone}


async def test_utc_unless_told_otherwise() -> None:
    assert (await called(CurrentTime()))["timezone"] == "UTC"


@pytest.mark.parametrize(
    "zone",
    [
        *(
            "Mars/Olympus",
            "Europe",
            "../../etc/passwd",
            "/etc/localtime",
            "Europe/../Berlin",
            "UTC\x00",
            "posixrules/x",
        ),
        *("localtime", "LOCALTIME", "Factory", "posixrules", "posix/Europe/Berlin", "right/UTC"),
        *("tzdata.zi", "zone.tab", " UTC", "\ud800", "ü", "a" * 64, "."),
    ],
)
async def test_zones_that_there_are_not(zone: str) -> None:
    with pytest.raises(ToolError) as caught:
        await called(CurrentTime(), timezone=zone)
    assert caught.value.problem_code == "unknown_timezone"
    assert caught.value.kind is ToolErrorKind.VALIDATION


@pytest.mark.parametrize("error", [ZoneInfoNotFoundError, ValueError, IsADirectoryError, PermissionError])
async def test_a_machine_without_zones(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    def nothing(name: str) -> None:
        raise error(name)

    monkeypatch.setattr(current_time, "ZoneInfo", nothing)
    assert (await called(CurrentTime(), timezone="UTC"))["time"].endswith("+00:00")
    with pytest.raises(ToolError, match="no time zone"):
        await called(CurrentTime(), timezone="Europe/Berlin")


async def test_a_way_out() -> None:
    answer = await called(FallbackRespond(), question="A flight to the moon")
    assert answer["status"] == "out_of_scope"
    assert "A flight to the moon" in answer["message"]
    assert any("person" in way for way in answer["ways_out"])
