import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.text import REPLACEMENT, clean, clean_value

anything = st.text(st.characters(exclude_categories=()) | st.sampled_from("\x00\ud800\udbff\udc00\udfff"))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("a\x00b", "a\ufffdb"),
        ("\ud83d", "\ufffd"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("😀 Привет\u2028\r\n\t\x01\x7f\ufeff\uffff", "😀 Привет\u2028\r\n\t\x01\x7f\ufeff\uffff"),
        ("", ""),
    ],
)
def test_only_what_cannot_be_stored_is_replaced(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


@given(anything)
def test_cleaned_text_is_utf_8_without_nul_and_as_long_as_before(text: str) -> None:
    cleaned = clean(text)
    assert "\x00" not in cleaned
    assert cleaned.encode().decode() == cleaned
    assert len(cleaned) == len(text)
    assert all(new in (old, REPLACEMENT) for old, new in zip(text, cleaned, strict=True))


@given(st.text())
def test_text_that_fits_is_the_same_object(text: str) -> None:
    if "\x00" not in text:
        assert clean(text) is text


def test_every_text_of_a_value_is_cleaned() -> None:
    value = {"\ud800": [("a\x00", 1), {"b": ("\udfff",)}], "n": None}
    assert clean_value(value) == {"\ufffd": [["a\ufffd", 1], {"b": ["\ufffd"]}], "n": None}
