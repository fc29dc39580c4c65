"""JSON that every database takes."""

from typing import Any

import msgspec
import pytest

from retinue.domain.encoding import decode, encode, encode_text
from retinue.domain.text import is_clean

REPLACED = "a\N{REPLACEMENT CHARACTER}b"


class Value(msgspec.Struct):
    text: str


@pytest.mark.parametrize("unfit", ["a\ud800b"])
@pytest.mark.parametrize("shaped", [lambda text: text, lambda text: {text: [text]}, lambda text: [[text]], Value])
def test_what_some_database_refuses_is_replaced(unfit: str, shaped: Any) -> None:
    assert encode(shaped(unfit)) == encode(shaped(REPLACED))
    assert not is_clean(msgspec.to_builtins(shaped(unfit)))
    assert is_clean(decode(encode(shaped(unfit))))


@pytest.mark.parametrize("text", ["\\u0000", "\x00", "\x01\x1f", "\U0001f37f", "é", "", "\\\\u0000 and \\ud800"])
def test_everything_else_stays(text: str) -> None:
    assert decode(encode_text({"text": text})) == {"text": text}
