"""Known texts are found wherever they stand, and for as long as somebody knows them."""

import pytest

from retinue.observability.fingerprints import MIN_CHARS, Fingerprints
from retinue.observability.redaction import MASK, Redactor

SHORT = "k3Y-0f~8"
LONG = "another-secret-of-more-characters"


def known(*texts: str) -> Fingerprints:
    prints = Fingerprints()
    prints.add(map(prints.of, texts))
    return prints


@pytest.mark.parametrize("before", range(10))
@pytest.mark.parametrize("after", range(6))
def test_the_shortest_is_found_at_every_place(before: int, after: int) -> None:
    assert len(SHORT) == MIN_CHARS
    text = "." * before + SHORT + "." * after
    assert list(known(SHORT, LONG).spans(text)) == [(before, before + MIN_CHARS)]


def test_of_those_that_begin_alike_the_longest_is_found() -> None:
    assert list(known(LONG[:MIN_CHARS], LONG).spans(f"is {LONG}")) == [(3, 3 + len(LONG))]


def test_what_two_know_is_found_until_both_have_forgotten() -> None:
    prints = known(SHORT, SHORT)
    for expected in ([(0, MIN_CHARS)], []):
        prints.discard([prints.of(SHORT)])
        assert list(prints.spans(SHORT)) == expected


def test_what_is_forgotten_leaves_nothing_behind() -> None:
    prints = known(SHORT, LONG)
    prints.discard(map(prints.of, (SHORT, LONG)))
    assert not prints._traces
    assert not prints._known


def test_a_secret_that_is_a_spelling_of_a_forgotten_one_is_still_masked() -> None:
    redactor = Redactor(capacity=1)
    redactor.add(SHORT.encode().hex(), pinned=True)
    for secret in (SHORT, LONG):
        redactor.add(secret)
    assert redactor.redact(f"{SHORT.encode().hex()} {SHORT}") == f"{MASK} {SHORT}"


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: abc",
        "X-API-KEY=abc",
        "coo\u212aıe: abc",
        "Ba\u017fic dXNlcjp3b3Jk",
        "BEARER abcdefgh",
        "a://b:c@d",
    ],
)
def test_credentials_are_masked_by_what_stands_before_them_in_any_case(text: str) -> None:
    assert MASK in Redactor().redact(text)
