"""What the stream of a run holds.

An entry is a contiguous range of one attempt's events, and its id `<attempt>-<seq>` is the position of the last one.
Redis takes no id that is not greater than the newest, which makes the stream itself the fence against a process that
does not know yet that its run was given to another.
"""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

from retinue.coordination.redis.connection import Command
from retinue.domain.errors import StorageFailed
from retinue.domain.event_codec import pack, unpack
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import MAX_ATTEMPT, Position

STREAM_ENTRIES = 256
"""About how many entries the stream of a run keeps. A process publishes one per run every few milliseconds at most."""
ENTRY_EVENTS = 256


class NotAnEntry(Exception):
    """Somebody else has written into the stream."""


def add(key: str, events: Sequence[RecordedEvent]) -> Command:
    """The command that appends a contiguous range of one attempt."""
    last = str(events[-1].position)
    return ("XADD", key, "MAXLEN", "~", STREAM_ENTRIES, last, "f", events[0].seq, "e", pack(events))


def ranges(events: Sequence[RecordedEvent]) -> Iterator[Sequence[RecordedEvent]]:
    """Cut where an event does not follow the one before, and where an entry would grow too long."""
    first = 0
    for index in range(1, len(events) + 1):
        if index == len(events) or index - first == ENTRY_EVENTS or not _is_next(events[index - 1], events[index]):
            yield events[first:index]
            first = index


def read(entry: Any, run_id: UUID) -> list[RecordedEvent]:
    """The events of an entry as the server sends it.

    Raises:
        NotAnEntry: it is none of ours.
    """
    try:
        name, (f, first, e, payload) = entry
        position = parse_id(name)
        events = list(unpack(payload, run_id, position.attempt, int(first)))
    except (StorageFailed, ValueError, TypeError, OverflowError) as error:
        raise NotAnEntry from error
    if (f, e) != (b"f", b"e") or not events or events[-1].position != position:
        raise NotAnEntry
    return events


def parse_id(name: bytes) -> Position:
    """Raises NotAnEntry."""
    attempt, _, seq = name.partition(b"-")
    position = Position(int(attempt), int(seq))
    if not 0 < position.attempt <= MAX_ATTEMPT:
        raise NotAnEntry
    return position


def _is_next(event: RecordedEvent, after: RecordedEvent) -> bool:
    return after.position == (event.attempt, event.seq + 1)
