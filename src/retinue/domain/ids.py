"""Identity and time: UUIDv7 ids, event positions, the clock."""

import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from retinue.domain.errors import InvalidRequest

MAX_ATTEMPT = 10_000
MAX_SEQ = 2**31 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def new_id() -> UUID:
    """A UUIDv7: unique, and later ids sort after earlier ones of the same process (RFC 9562)."""
    return uuid7()


def now() -> datetime:
    """The time in UTC, with its zone."""
    return datetime.now(UTC)


def now_ms() -> int:
    """The time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def ms_of(at: datetime) -> int:
    """A time in whole milliseconds since 1970; what is finer is cut off."""
    return (at - _EPOCH) // _MILLISECOND


def time_of(ms: int) -> datetime:
    """Milliseconds since 1970 as a time in UTC."""
    return _EPOCH + ms * _MILLISECOND


class Position(NamedTuple):
    """Where an event stands in its run. Orders first by attempt, then by sequence number.

    `seq` starts at 1 in every attempt and has no holes. `Position(0, 0)` stands before every event.
    """

    attempt: int
    seq: int

    def __str__(self) -> str:
        return f"{self.attempt}-{self.seq}"


START = Position(0, 0)


def event_id(run_id: UUID, position: Position) -> str:
    """The id of an event on the wire: `<run>:<attempt>-<seq>`."""
    return f"{_text_of(run_id)}:{position.attempt}-{position.seq}"


_text_of = lru_cache(maxsize=4096)(str)
"""A run has many events, and Python takes longer to write an id than to look for it."""


def parse_event_id(text: str) -> tuple[UUID, Position]:
    """Split a wire id again.

    Raises:
        InvalidRequest: the text is not `<run>:<attempt>-<seq>`.
    """
    try:
        run, _, place = text.partition(":")
        attempt, _, seq = place.partition("-")
        run_id, position = UUID(run), Position(_number(attempt, MAX_ATTEMPT), _number(seq, MAX_SEQ))
        if event_id(run_id, position) != text:
            raise ValueError(text)  # another spelling: upper case, braces, leading zeros, foreign digits
        return run_id, position
    except ValueError:
        raise InvalidRequest("An event id has the form <run id>:<attempt>-<seq>.", code="invalid_event_id") from None


def _number(text: str, ceiling: int) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 10 or int(text) > ceiling:
        raise ValueError(text)
    return int(text)
