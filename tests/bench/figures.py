"""From many measurements to one figure."""

from collections.abc import Mapping, Sequence
from math import ceil
from statistics import median

Figures = Mapping[str, float]
"""Figures by their names, as one measurement or the medians of several has them."""


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that is not exceeded by at least this share of them.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("a percentile of nothing")
    return sorted(values)[max(ceil(len(values) * share) - 1, 0)]


def medians(rounds: Sequence[Figures]) -> dict[str, float]:
    """Of each figure that all rounds have: one that a round could not tell must not look better for it."""
    names = [name for name in rounds[0] if all(name in figures for figures in rounds)]
    return {name: median(figures[name] for figures in rounds) for name in names}


def ratio(figure: float, other: float) -> float:
    """How many times the other it is; infinite if that is nothing."""
    return figure / other if other else float("inf")
