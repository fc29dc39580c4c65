"""The union of run events: its names, and that nothing is lost on the way through JSON."""

import re
from datetime import timedelta
from typing import get_args

import msgspec
import pytest
from hypothesis import given

from retinue.domain import events as e
from retinue.domain.events import TERMINAL_EVENTS, RecordedEvent, RunEnd, RunEvent, TerminalEvent
from retinue.domain.ids import Position, event_id, ms_of
from tests.support.runs import AT, RUN_ID, any_event, every_event

MEMBERS = get_args(RunEvent)


def tag_of(kind: type[msgspec.Struct]) -> str:
    tag = kind.__struct_config__.tag
    assert isinstance(tag, str)
    return tag


def test_names_are_a_noun_and_what_happened_to_it() -> None:
    tags = [tag_of(kind) for kind in MEMBERS]
    assert len(set(tags)) == len(tags)
    assert [tag for tag in tags if not re.fullmatch(r"[a-z]+(_[a-z]+)*\.([a-z]+ed|taken|delta)", tag)] == []


def test_classes_are_named_like_their_tags() -> None:
    for kind in MEMBERS:
        assert kind.__name__ == "".join(part.capitalize() for part in re.split(r"[._]", tag_of(kind)))


def test_every_tagged_event_of_the_module_is_in_the_union() -> None:
    tagged = {
        kind
        for kind in vars(e).values()
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind.__struct_config__.tag is not None
    }
    assert tagged == set(MEMBERS)


def test_events_are_values() -> None:
    assert [kind for kind in MEMBERS if not kind.__struct_config__.frozen] == []


def test_terminal_events_are_those_that_carry_an_end_and_are_no_pause() -> None:
    ends = {kind for kind in MEMBERS if issubclass(kind, RunEnd)}
    assert set(TERMINAL_EVENTS) == set(get_args(TerminalEvent)) == ends - {e.RunPaused}
    assert e.RunPaused in ends


def test_the_examples_cover_the_union() -> None:
    assert {type(event) for event in every_event()} == set(MEMBERS)


@pytest.mark.parametrize("event", every_event(), ids=lambda event: tag_of(type(event)))
def test_a_recorded_event_knows_its_id_and_whether_it_is_the_last(event: RunEvent) -> None:
    recorded = RecordedEvent(RUN_ID, 2, 5, ms_of(AT), event)
    assert recorded.id == event_id(RUN_ID, Position(2, 5))
    tag = tag_of(type(event))
    assert recorded.is_terminal is (tag in {"run.completed", "run.failed", "run.cancelled", "run.expired"})
    assert recorded.is_pause is (tag == "run.paused")


@given(any_event())
def test_events_come_back_from_json_as_they_went(event: RunEvent) -> None:
    assert msgspec.json.decode(msgspec.json.encode(event), type=RunEvent) == event


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(b'{"type":"run.exploded"}', type=RunEvent)


def test_recorded_events_are_values() -> None:
    recorded = RecordedEvent(RUN_ID, 1, 1, ms_of(AT), e.TextDelta(delta="x"))
    with pytest.raises(AttributeError):
        recorded.at = AT + timedelta(seconds=1)  # type: ignore[misc]
