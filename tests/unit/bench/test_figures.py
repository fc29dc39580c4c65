"""From many measurements to one figure."""

import pytest

from tests.bench.figures import medians, percentile, ratio


@pytest.mark.parametrize(
    ("share", "expected"), [(0.0, 1), (0.01, 1), (0.5, 50), (0.501, 51), (0.99, 99), (0.991, 100), (1.0, 100)]
)
def test_a_percentile_is_a_value_that_so_many_do_not_exceed(share: float, expected: int) -> None:
    assert percentile([*range(100, 0, -1)], share) == expected


def test_a_percentile_of_few_is_not_too_low() -> None:
    assert percentile([3, 1, 2], 0.99) == 3
    assert percentile([3, 1, 2], 0.5) == 2
    assert percentile([7], 0.5) == 7


def test_there_is_no_percentile_of_nothing() -> None:
    with pytest.raises(ValueError, match="nothing"):
        percentile([], 0.5)


def test_the_median_is_taken_of_each_figure() -> None:
    assert medians([{"a": 1, "b": 30}, {"a": 9, "b": 10}, {"a": 2, "b": 20}]) == {"a": 2, "b": 20}


def test_what_a_round_could_not_tell_is_not_told_at_all() -> None:
    assert medians([{"a": 1, "b": 1}, {"a": 3}]) == {"a": 2}


def test_nothing_is_never_the_best_to_compare_with() -> None:
    assert ratio(6, 3) == 2
    assert ratio(6, 0) == float("inf")
