"""The tool `current_time`."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from functools import cache
from typing import Annotated
from zoneinfo import ZoneInfo, available_timezones

import msgspec

from retinue.domain.ids import now
from retinue.domain.tools import Effect, Risk
from retinue.tools.base import Invocation, Tool
from retinue.tools.builtin.failures import invalid

_NO_ZONES = frozenset({"Factory", "localtime", "posixrules"})
"""They lie among the zones and are settings of the machine, which would tell where it stands."""
_WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


class TimeArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    timezone: Annotated[
        str,
        msgspec.Meta(
            description="Name of a time zone in the IANA database, such as Europe/Berlin or UTC.",
            min_length=1,
            max_length=64,
        ),
    ] = "UTC"


class TimeAnswer(msgspec.Struct, frozen=True):
    time: str
    """ISO 8601 with the offset from UTC, to the second."""
    weekday: str
    timezone: str


class CurrentTime(Tool[TimeArguments]):
    name = "current_time"
    description = "Tells the date, the time of day and the weekday as they are now in a time zone."
    arguments = TimeArguments
    effect = Effect.READ
    risk = Risk.NONE
    touches = "the server's clock"
    timeout = 5.0

    def __init__(self, clock: Callable[[], datetime] = now) -> None:
        self._clock = clock

    async def run(self, arguments: TimeArguments, invocation: Invocation) -> TimeAnswer:  # noqa: ARG002
        # The first look reads the whole folder of zones.
        zone = await asyncio.to_thread(_zone, arguments.timezone)
        local = self._clock().astimezone(zone)
        return TimeAnswer(
            time=local.isoformat(timespec="seconds"),
            weekday=_WEEKDAYS[local.weekday()],
            timezone=arguments.timezone,
        )


def _zone(name: str) -> tzinfo:
    if name == "UTC":  # also where the machine has no database of zones
        return UTC
    # The name becomes a path below the folder of zones: what cannot be read there fails in many ways.
    with suppress(KeyError, ValueError, OSError):
        if name in _names():
            return ZoneInfo(name)
    raise invalid(
        "There is no time zone of that name. Use one of the IANA database, such as Europe/Berlin.",
        code="unknown_timezone",
    )


@cache
def _names() -> frozenset[str]:
    return frozenset(available_timezones() - _NO_ZONES)
