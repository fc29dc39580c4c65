"""What a call may still cost, counted piece by piece."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.budgets import Grant
from retinue.domain.model_io import ModelRequest, UserTurn
from retinue.domain.policy import ReasoningEffort
from retinue.domain.prices import ModelPrice
from retinue.domain.usage import Usage
from retinue.providers.pricing import Pricing
from retinue.runs.purse import Purse

PRICE = ModelPrice(provider="p", model="m", input_price=1_000_000, cached_input_price=100_000, output_price=10_000_000)
"""A token of input costs a millionth, one of output ten."""
PRICING = Pricing.of((PRICE,), provider="p", model="m")
INPUT = 100


def a_purse(
    micros: int, *, is_whole: bool = False, pricing: Pricing = PRICING, reasoning: ReasoningEffort | None = None
) -> Purse:
    request = ModelRequest(model="m", system="", turns=(UserTurn("hi"),), max_output_tokens=2000, reasoning=reasoning)
    return Purse(pricing, Grant(micros, is_whole=is_whole), request, INPUT)


def take(purse: Purse, *pieces: str) -> list[bool]:
    """Whether the purse was empty after each piece."""
    found = []
    for piece in pieces:
        purse.count(piece)
        found.append(purse.is_empty)
    return found


def test_it_is_empty_with_the_piece_that_costs_too_much() -> None:
    assert take(a_purse(100 + 30), "a", "b", "c", "d") == [False, False, False, True]


def test_text_is_counted_as_it_is_estimated() -> None:
    purse = a_purse(1000)
    take(purse, "a" * 40, "ü" * 3)
    assert purse.output_tokens == 12


def test_many_small_pieces_are_as_many_tokens() -> None:
    purse = a_purse(1000)
    take(purse, *("1" for _ in range(9)))
    assert purse.output_tokens == 9


def test_what_the_provider_counted_is_better_known() -> None:
    purse = a_purse(100 + 30)
    purse.learn(Usage(input_tokens=40, output_tokens=2))
    assert take(purse, *"abcdefghij") == [False] * 9 + [True], "ninety are left for output"
    purse.learn(Usage(input_tokens=40, output_tokens=20))
    assert purse.output_tokens == 20


def test_what_was_cached_costs_less() -> None:
    purse = a_purse(100 + 30)
    purse.learn(Usage(input_tokens=100, cached_input_tokens=100))
    assert take(purse, *"abcdefghijklm") == [False] * 12 + [True]


def test_a_report_without_a_price_does_not_take_back_the_one_before_it() -> None:
    purse = a_purse(100 + 30)
    purse.learn(Usage(input_tokens=40))
    purse.learn(Usage(input_tokens=5, cached_input_tokens=2000))
    assert take(purse, *"abcdefghij") == [False] * 9 + [True], "ninety are left for output"


def test_a_report_that_says_nothing_of_the_input_changes_nothing() -> None:
    purse = a_purse(100 + 10)
    purse.learn(Usage(output_tokens=0))
    assert take(purse, "a", "b") == [False, True]


def test_output_that_costs_nothing_never_empties_it() -> None:
    free = Pricing.of((ModelPrice(provider="p", model="m", input_price=1, output_price=0),), provider="p", model="m")
    purse = a_purse(1, pricing=free)
    assert take(purse, "a" * 10_000) == [False]
    assert purse.output_bound is None


@pytest.mark.parametrize(
    ("micros", "is_whole", "reasoning", "bound"),
    [
        (100 + 300, False, None, 30),
        (100 + 300, False, "off", 30),
        (100 + 300, True, None, None),
        (100 + 5, False, None, 1),
        (100 + 30_000, False, None, None),
        (100 + 10_250, False, "low", 1025),
        (100 + 10_240, False, "low", None),
    ],
)
def test_the_provider_is_asked_for_no_more_than_can_be_paid(
    micros: int, is_whole: bool, reasoning: ReasoningEffort | None, bound: int | None
) -> None:
    assert a_purse(micros, is_whole=is_whole, reasoning=reasoning).output_bound == bound


def test_why_an_answer_ends() -> None:
    assert (a_purse(1).reason, a_purse(1, is_whole=True).reason) == ("budget", "length")


@given(
    st.integers(100, 400),
    st.integers(0, 40),
    st.lists(st.text(st.sampled_from("ab ü世"), min_size=1, max_size=9), min_size=1, max_size=40),
)
def test_it_holds_what_does_not_empty_it_piece_by_piece(micros: int, told: int, pieces: list[str]) -> None:
    purse, other = a_purse(micros), a_purse(micros)
    for each in (purse, other):
        each.learn(Usage(input_tokens=INPUT, output_tokens=told))
    text = "".join(pieces)
    before = purse.output_tokens
    is_taken = purse.take(text, pieces=len(pieces))
    assert is_taken is not any(take(other, *pieces))
    assert purse.output_tokens == (other.output_tokens if is_taken else before)
