"""No character that a person cannot see gets into a command or a path."""

import sys
import unicodedata

import pytest

from retinue.tools.workspace.commands.characters import is_deceptive
from retinue.tools.workspace.commands.classify import classify

BLANK = "\u3164\u2800\ufe0f\U000e0101\u034f\u115f\u1160\u17b4\u180b\u180f\u2065\uffa0\ufff0\U0001d159\U000e0fff"


@pytest.mark.parametrize("char", BLANK, ids=ascii)
def test_what_is_drawn_as_nothing_is_refused(char: str) -> None:
    assert is_deceptive(f"notes{char}.txt")
    assert classify(f"cat notes{char}.txt").action == "invalid"


@pytest.mark.parametrize("category", ["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])
def test_whole_categories_are_refused(category: str) -> None:
    of_it = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == category]
    assert of_it
    assert all(map(is_deceptive, of_it))


@pytest.mark.parametrize(
    "text", ["notes.txt", "a b", "Größe", "e\u0301", "日本語", "ملف", "หนังสือ", "한글", "🙂", "\ufffd"]
)
def test_what_people_write_is_let_pass(text: str) -> None:
    assert not is_deceptive(text)


def test_white_space_is_let_pass_only_where_it_is_meant() -> None:
    assert is_deceptive("a\tb\n")
    assert not is_deceptive("a\tb\n", allowed="\t\n")
    assert is_deceptive("a\u00a0b", allowed="\t\n")
