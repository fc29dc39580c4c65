"""JSON that is not quite JSON, and text that is cut inside a character."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.errors import ProviderProtocol
from retinue.providers.json_text import TextJoiner, arguments_to_send, decode, error_in


class Document(msgspec.Struct):
    text: str = ""


DOCUMENTS = msgspec.json.Decoder(Document)


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'{"text": "a", "more": [1]}', "a"),
        (rb'{"text": "\u0000"}', "\x00"),
        (rb'{"text": "a\ud83d"}', "a\ud83d"),
        (rb'{"text": "\ude80b"}', "\ude80b"),
        (b'{"text": "\xff\xfe"}', "\ufffd\ufffd"),
        (b'{"text": "a\tb\nc"}', "a\tb\nc"),
        (b'{"more": NaN}', ""),
    ],
)
def test_what_is_forgiven(data: bytes, text: str) -> None:
    assert decode(data, DOCUMENTS).text == text


@pytest.mark.parametrize(
    "data", [b"", b"{", b"[1]", b'"a"', b'{"text": 7}', b"[" * 100_000, b'{"text":' * 50_000, b"9" * 10_000]
)
def test_what_is_not(data: bytes) -> None:
    with pytest.raises(ProviderProtocol):
        decode(data, DOCUMENTS)


def test_halves_are_rejoined_across_pieces() -> None:
    joiner = TextJoiner()
    assert [joiner.push(piece) for piece in ("a\ud83d", "\ude80b", "\ud83d\ude80", "")] == ["a", "🚀b", "🚀", ""]
    assert joiner.flush() == ""


def test_halves_without_their_other_are_replaced() -> None:
    joiner = TextJoiner()
    assert joiner.push("\ud83dx\ude80\x00") == "\ufffdx\ufffd\ufffd"
    assert joiner.push("\ud83d") == ""
    assert joiner.push("y") == "\ufffdy"
    assert joiner.push("\ud83d") == ""
    assert joiner.flush() == "\ufffd"


@given(st.text(), st.lists(st.integers(0, 50)))
def test_any_cut_of_utf16_gives_the_text_back(text: str, cuts: list[int]) -> None:
    units = text.replace("\x00", "").encode("utf-16-le")
    places = [0, *sorted(min(cut * 2, len(units)) for cut in cuts), len(units)]
    joiner = TextJoiner()
    pieces = [units[a:b].decode("utf-16-le", "surrogatepass") for a, b in pairwise(places)]
    assert "".join([*map(joiner.push, pieces), joiner.flush()]) == text.replace("\x00", "")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error": {"code": 1}}', {"code": 1}),
        (b'{"error": "x"}', "x"),
        (b'{"object": "error", "code": 400}', {"object": "error", "code": 400}),
        (b'{"error": null}', None),
        (b"[]", None),
        (b"<html>", None),
        (b"[" * 100_000, None),
    ],
)
def test_errors_in_documents(body: bytes, error: object) -> None:
    assert error_in(body) == error


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ('{"a": 1}', {"a": 1}),
        ("", {}),
        (" ", {}),
        ("[1]", {"invalid_arguments": "[1]"}),
        ('{"a": ', {"invalid_arguments": '{"a": '}),
    ],
)
def test_arguments_of_earlier_calls(text: str, sent: dict[str, object]) -> None:
    assert arguments_to_send(text) == sent
