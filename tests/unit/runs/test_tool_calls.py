"""Arguments as models write them, and what calls are answered with while there are no tools."""

import sys
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.coordination.memory import MemoryEventLog
from retinue.domain import events as e
from retinue.domain.messages import ToolLogEntry
from retinue.runs.draft import Draft
from retinue.runs.event_writer import EventWriter
from retinue.runs.lease import Hold, clock
from retinue.runs.outcome import RequestedCall
from retinue.runs.recorder import Recorder
from retinue.runs.tool_calls import (
    MAX_DEPTH,
    MAX_REPAIRED_BRACKETS,
    MAX_REPAIRED_CHARS,
    answer_calls,
    parse_arguments,
)
from tests.support.runs import RUN_ID, json_values


def nested(depth: int) -> str:
    return '{"a":' * depth + "1" + "}" * depth


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", {}),
        (" \n\t", {}),
        ("{}", {}),
        ('{"q": "cats", "n": 3, "x": null}', {"q": "cats", "n": 3, "x": None}),
        ('{"q":"\\u041f\\u0440\\ud83d\\ude00"}', {"q": "Пр😀"}),
        ("[1, 2]", [1, 2]),
        ('"cats"', "cats"),
        ("7", 7),
        ("null", None),
        ('{"n": 123456789012345678901234567890}', {"n": 123456789012345678901234567890}),
    ],
)
def test_json_is_taken_as_it_is(text: str, value: Any) -> None:
    assert parse_arguments(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"q": "ca', {"q": "ca"}),
        ('{"q": "cats",}', {"q": "cats"}),
        ("{'q': 'cats'}", {"q": "cats"}),
        ('{q: "cats"}', {"q": "cats"}),
        ('```json\n{"q": 1}\n```', {"q": 1}),
        ('{"a": {"b": [1, 2', {"a": {"b": [1, 2]}}),
    ],
)
def test_a_broken_object_is_repaired(text: str, value: Any) -> None:
    assert parse_arguments(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "cats, please",
        "[1, 2",
        "]",
        '{"half": "\\ud800"}',
        '{"a":1}{"b":2}',
        '{"a": "' + "{" * MAX_REPAIRED_BRACKETS,
        '{"n": 1' + "0" * 5000,
        nested(MAX_DEPTH + 1),
        nested(100_000),
        '{"a":' * 100_000,
        "[" * 100_000,
        '{"q": "' + "x" * MAX_REPAIRED_CHARS,
    ],
    ids=lambda text: text[:12],
)
def test_what_cannot_be_read_or_repaired_stays_text(text: str) -> None:
    assert parse_arguments(text) == text


@pytest.mark.parametrize(
    "piece", ['{"', '{"[', "'{", '{{"){', "\N{LEFT DOUBLE QUOTATION MARK} {\n\N{LEFT DOUBLE QUOTATION MARK}", '"']
)
def test_no_text_is_repaired_for_long(piece: str) -> None:
    """Far from the time that it takes without bounds: seconds, and minutes for longer texts."""
    began = time.process_time()
    for length in (MAX_REPAIRED_BRACKETS, MAX_REPAIRED_CHARS, 4 * MAX_REPAIRED_CHARS):
        parse_arguments((piece * length)[:length])
    assert time.process_time() - began < 0.25


def test_depth_is_allowed_up_to_the_bound() -> None:
    assert parse_arguments(nested(MAX_DEPTH - 1)) == msgspec.json.decode(nested(MAX_DEPTH - 1))
    assert sys.getrecursionlimit() // 4 > MAX_DEPTH, "whoever writes it later may already be deep in the stack"


@given(
    st.text() | json_values.map(lambda value: msgspec.json.encode(value).decode()).flatmap(lambda t: st.just(t[:-1]))
)
def test_whatever_comes_can_be_written_again(text: str) -> None:
    msgspec.json.encode(parse_arguments(text))


class NoDatabase(EventWriter):
    """Nothing is stored in these tests."""

    def __init__(self) -> None:
        super().__init__(None)  # type: ignore[arg-type]


async def test_every_call_is_answered_logged_and_told() -> None:
    log, writer = MemoryEventLog(), NoDatabase()
    log.open(RUN_ID, RUN_ID)
    recorder = Recorder(tenant_id=RUN_ID, run_id=RUN_ID, attempt=1, log=log, writer=writer, hold=Hold(60, clock()))
    draft = Draft(max_chars=100)
    calls = (
        RequestedCall(id="a", name="search", args={"q": 1}),
        RequestedCall(id="b", name="read", args="nonsense"),
    )
    turn = answer_calls(calls, recorder, draft)
    assert [(result.call_id, result.name, result.is_error) for result in turn.results] == [
        ("a", "search", True),
        ("b", "read", True),
    ]
    assert all("no tool of that name" in result.content for result in turn.results)
    assert [(entry.tool_call_id, entry.args, entry.error) for entry in draft.tool_log] == [
        ("a", {"q": 1}, "tool_unavailable"),
        ("b", "nonsense", "tool_unavailable"),
    ]
    told = [event.event for event in recorder.take_unstored()]
    assert [_entry(event) for event in told if isinstance(event, e.ToolCallFinished)] == draft.tool_log
    assert len(told) == 2


def _entry(event: e.ToolCallFinished) -> ToolLogEntry:
    fields = {name: getattr(event, name) for name in ("tool_call_id", "args", "result", "error", "duration_ms")}
    return ToolLogEntry(name=event.tool, **fields)
