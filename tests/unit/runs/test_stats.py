"""Rates, with the clock in the test's hand. All numbers were worked out on paper."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retinue.domain.usage import GenerationStats, Usage
from retinue.runs.stats import Speedometer


class Clock:
    """Stands still between the readings that a test asks for."""

    def __init__(self) -> None:
        self.time = 1000.0

    def __call__(self) -> float:
        return self.time


def measure(
    pieces: Iterable[tuple[float, str]], *, tokens: int | None = 10, called_at: float | None = 0.0, thought: int = 0
) -> GenerationStats:
    """The speed of pieces that came so many seconds after the start of the clock."""
    clock = Clock()
    speed = Speedometer(clock)
    if called_at is not None:
        clock.time = 1000.0 + called_at
        speed.call_started()
    for at, piece in pieces:
        clock.time = 1000.0 + at
        speed.count(piece)
    return speed.read(Usage(output_tokens=tokens, reasoning_tokens=thought) if tokens is not None else None)


def stats(slowest: float | None, average: float | None, fastest: float | None, first: int | None) -> GenerationStats:
    return GenerationStats(
        min_tokens_per_second=slowest,
        avg_tokens_per_second=average,
        max_tokens_per_second=fastest,
        time_to_first_token_ms=first,
    )


def test_no_text_has_no_speed() -> None:
    assert measure([]) == GenerationStats()


def test_a_single_piece_is_measured_from_the_call() -> None:
    assert measure([(0.5, "Hello there")]) == stats(20.0, 20.0, 20.0, 500)


def test_two_pieces_within_a_millisecond_are_measured_from_the_call() -> None:
    assert measure([(0.4, "Hello"), (0.401, " there")]) == stats(24.94, 24.94, 24.94, 400)


def test_a_piece_at_the_very_moment_of_the_call_gives_a_finite_rate() -> None:
    assert measure([(0.0, "Hello")]) == stats(10_000.0, 10_000.0, 10_000.0, 0)


def test_without_a_call_time_begins_with_the_first_piece() -> None:
    assert measure([(3.0, "ab"), (3.1, "cd")], called_at=None) == stats(100.0, 100.0, 100.0, 0)


def test_an_unknown_token_count_leaves_only_the_time() -> None:
    assert measure([(0.25, "Hello")], tokens=None) == stats(None, None, None, 250)


def test_reasoning_is_not_counted() -> None:
    assert measure([(1.0, "Hello")], tokens=12, thought=2) == stats(10.0, 10.0, 10.0, 1000)
    assert measure([(1.0, "Hello")], tokens=2, thought=5) == stats(0.0, 0.0, 0.0, 1000)


def test_samples_find_the_slowest_and_the_fastest_stretch() -> None:
    # 40 characters are 20 tokens. First piece at 1 s; samples: 10 characters in 0.25 s, 20 in 0.25 s, none after.
    pieces = [(1.0, "a" * 10), (1.25, "b" * 10), (1.5, "c" * 20)]
    assert measure(pieces, tokens=20) == stats(20.0, 40.0, 40.0, 1000)


def test_a_sample_ends_with_the_first_piece_after_200_ms() -> None:
    # 30 characters are 30 tokens. 0.10 s is no sample yet; 20 characters within 0.2 s are one.
    pieces = [(0.0, "a" * 10), (0.1, "b" * 10), (0.2, "c" * 10)]
    assert measure(pieces, tokens=30) == stats(100.0, 150.0, 150.0, 0)


def test_a_pause_is_the_slowest_stretch() -> None:
    # 10 characters each second, a pause of 4 s, one character a token: 10, 10, 2.5, 10 tokens a second.
    pieces = [(1.0, "a" * 10), (2.0, "b" * 10), (3.0, "c" * 10), (7.0, "d" * 10), (8.0, "e" * 10)]
    assert measure(pieces, tokens=50) == stats(2.5, 7.14, 10.0, 1000)


def test_later_calls_of_the_run_do_not_move_its_start() -> None:
    clock = Clock()
    speed = Speedometer(clock)
    speed.call_started()
    clock.time += 2
    speed.call_started()
    speed.count("x")
    assert speed.read(None).time_to_first_token_ms == 2000


@given(
    st.lists(st.tuples(st.floats(0.0001, 5), st.text("x", min_size=1, max_size=20)), min_size=1, max_size=30),
    st.integers(0, 5000),
)
def test_the_average_lies_between_slowest_and_fastest(gaps: list[tuple[float, str]], tokens: int) -> None:
    at, pieces = 0.0, []
    for gap, piece in gaps:
        at += gap
        pieces.append((at, piece))
    found = measure(pieces, tokens=tokens)
    assert found.min_tokens_per_second is not None
    assert found.avg_tokens_per_second is not None
    assert found.max_tokens_per_second is not None
    assert 0 <= found.min_tokens_per_second <= found.avg_tokens_per_second <= found.max_tokens_per_second


@pytest.mark.parametrize("seconds", [0.1999, 0.2])
def test_the_bound_between_short_and_long_answers(seconds: float) -> None:
    average = measure([(1.0, "aa"), (1.0 + seconds, "bb")], tokens=4).avg_tokens_per_second
    assert average == (20.0 if seconds == 0.2 else 3.33)
