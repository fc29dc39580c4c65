"""Bodies of every quality."""

import json
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.errors import InvalidRequest, MalformedBody
from retinue.domain.text import clean
from retinue.http.decoding import decode_body, is_deeper, scrub
from tests.unit.http.conftest import Thing

DEPTH = 16


def decode(body: bytes) -> Any:
    return decode_body(body, Thing, max_depth=DEPTH)


def pointers(body: bytes) -> list[str]:
    with pytest.raises(InvalidRequest) as caught:
        decode(body)
    assert caught.value.detail
    assert all(error.detail for error in caught.value.errors)
    return [error.pointer for error in caught.value.errors]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"name":"a"',
        b'{"name":"a"} x',
        b'{"x":1} x',
        b'{"name":"a"}{"name":"b"}',
        b'{"name":"a",}',
        b"{'name':'a'}",
        b'{"name":"a\x00b"}',
        b'{"name":"a\nb"}',
        b'{"name":"\xff"}',
        b'{"name":"\xed\xa0\x80"}',
        b'{"unknown":"\xff"}',
        b'\xef\xbb\xbf{"name":"a"}',
        b'{"name":"a","ratio":NaN}',
        b'{"name":"a","ratio":-Infinity}',
        b'{"name":"a","ratio":01}',
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"options":' * 50_000,
        b'{"name":"a","options":' + b'{"a":' * DEPTH + b"1" + b"}" * DEPTH + b"}",
        json.dumps({"name": "a"}).encode("utf-16"),
    ],
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedBody):
        decode(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"null", [""]),
        (b"[]", [""]),
        (b"7", [""]),
        (b'"text"', [""]),
        (b"{}", ["/name"]),
        (b'{"name":null}', ["/name"]),
        (b'{"name":"a","persona":{"tone":1}}', ["/persona/tone"]),
        (b'{"name":"a","persona":{"zz":1}}', ["/persona/zz"]),
        (b'{"name":"a","tools":["a",2]}', ["/tools/1"]),
        (b'{"name":"a","ratio":1e400}', ["/ratio"]),
        (b'{"name":"a","size":99999999999999999999999999}', ["/size"]),
        (b'{"name":"a","size":1.5}', ["/size"]),
        (b'{"name":"a","size":"1"}', ["/size"]),
        (b'{"name":"a","size":true}', ["/size"]),
        (b'{"name":"a","ratio":"1"}', ["/ratio"]),
        (b'{"name":"a","options":{"a":{"b":1e400}}}', ["/options"]),
        (b'{"name":"a","odd/ke~y":1}', ["/odd~1ke~0y"]),
        (b'{"name":1,"size":0,"persona":[],"extra":1}', ["/extra", "/name", "/persona", "/size"]),
    ],
)
def test_what_has_the_wrong_shape_is_pointed_at(body: bytes, expected: list[str]) -> None:
    assert pointers(body) == expected


def test_not_more_is_listed_than_anybody_reads() -> None:
    assert len(pointers(json.dumps({f"k{n}": 1 for n in range(500)}).encode())) == 50


def test_of_two_equal_keys_the_last_counts() -> None:
    assert decode(b'{"name":"a","name":"b"}').name == "b"


def test_escaped_odd_characters_are_replaced_everywhere() -> None:
    thing = decode(rb'{"name":"\\u0000 \u0000 \uDFFF \ud83d\ude00","options":{"k\u0000":["\ud800"]}}')
    assert thing.name == "\\u0000 \ufffd \ufffd \U0001f600"
    assert thing.options == {"k\ufffd": ["\ufffd"]}


def test_a_name_of_nothing_is_none() -> None:
    for blank in ("", " ", "\u2003\t\n"):
        assert pointers(json.dumps({"name": blank}).encode()) == ["/name"]


@given(st.text(st.characters(exclude_categories=()), max_size=40))
def test_scrubbed_bytes_say_what_clean_says(text: str) -> None:
    # json.loads joins escaped pairs as every reader does, so both sides start from the joined text.
    body = json.dumps(text).encode()
    assert json.loads(scrub(body)) == clean(json.loads(body))


@given(st.binary(max_size=60))
def test_scrubbing_leaves_no_suspect_escape(noise: bytes) -> None:
    body = b'"' + noise.replace(b'"', b"") + b'\\u0000\\ud800x"'
    try:
        text = json.loads(scrub(body))
    except ValueError:
        return
    assert clean(text) == text


json_values = st.recursive(
    st.none() | st.text(max_size=5) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(depth, value), default=0) if isinstance(value, list) else 0


@given(json_values, st.integers(0, 6))
def test_depth_is_counted_exactly(value: Any, limit: int) -> None:
    assert is_deeper(json.dumps(value).encode(), limit) is (depth(value) > limit)


@pytest.mark.parametrize("text", ["[" * 100, '"[[[[' * 5, "\\" * 7 + "[" * 50, '\\"[[' * 9])
def test_brackets_inside_strings_are_no_depth(text: str) -> None:
    assert not is_deeper(json.dumps([text]).encode(), 1)


@pytest.mark.parametrize("unit", [b'"a\\', b'"', b"[", b"{[", b"[]", b"\\u0000", b"\\", b'\\"', b'"\\ud800'])
def test_hostile_bodies_cost_no_more_than_their_length(unit: bytes) -> None:
    """A megabyte takes some 50 ms; whatever grows with its square takes minutes."""
    body = b"[" * 70 + unit * (2**20 // len(unit))
    began = process_time()
    is_deeper(body, 64)
    scrub(body)
    assert process_time() - began < 3


def test_a_hostile_name_of_a_field_costs_no_more_than_its_length() -> None:
    body = json.dumps({"name": "a", "persona": {" - at `$.x" * 90_000: 1}}).encode()
    began = process_time()
    assert len(pointers(body)) == 1
    assert process_time() - began < 3


@given(st.binary(max_size=200))
def test_noise_raises_nothing_else(noise: bytes) -> None:
    try:
        decode(noise)
    except (MalformedBody, InvalidRequest):
        return
