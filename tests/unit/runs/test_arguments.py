"""Arguments as models write them."""

import sys
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.runs.calls.arguments import MAX_DEPTH, MAX_REPAIRED_BRACKETS, MAX_REPAIRED_CHARS, parse_arguments
from tests.support.runs import json_values


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
        '{"body": "see", "```json\n{\n```"}',  # an assertion fails in the library that repairs
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
