"""Reading logs as a careful client does."""

from collections.abc import Sequence

from retinue.domain import events as e
from retinue.domain.events import RecordedEvent, RunEnd
from retinue.domain.ids import START, Position, parse_event_id
from retinue.runs.draft import text_digest


def kinds(events: Sequence[RecordedEvent]) -> list[str]:
    return [str(event.event.__struct_config__.tag) for event in events]


def places(events: Sequence[RecordedEvent]) -> list[str]:
    return [str(event.position) for event in events]


def standing(events: Sequence[RecordedEvent]) -> list[RecordedEvent]:
    """What is left when everything was discarded that later attempts took back."""
    kept: list[RecordedEvent] = []
    for event in events:
        if isinstance(boundary := event.event, e.AttemptStarted):
            last = parse_event_id(boundary.discard_after)[1] if boundary.discard_after else START
            kept = [other for other in kept if other.position <= last or other.position.attempt == boundary.attempt]
        kept.append(event)
    return kept


def text_of(events: Sequence[RecordedEvent]) -> str:
    return "".join(event.event.delta for event in events if isinstance(event.event, e.TextDelta))


def whole(events: Sequence[RecordedEvent]) -> RunEnd:
    """The end of a log that was read from its beginning: every position once and in order, and the proofs right."""
    positions = [event.position for event in events]
    expected: list[Position] = []
    for position in positions:
        last = expected[-1] if expected else START
        is_next = position == (last.attempt, last.seq + 1) or (position.attempt > last.attempt and position.seq == 1)
        assert is_next, positions
        expected.append(position)
    assert [event.is_terminal for event in events] == [False] * (len(events) - 1) + [True]
    end = events[-1].event
    assert isinstance(end, RunEnd)
    assert end.event_count == len(events)
    assert end.text_sha256 == text_digest(text_of(standing(events)))
    return end
