"""Whether a goal is met."""

import pytest

from tests.bench.goals import GOALS, Goal, judged
from tests.bench.report import LABELS

MEDIANS = {"S": {"retinue-postgresql": {"cost": 20.0}, "relay": {"cost": 8.0}, "obvious": {"cost": 300.0}}}


@pytest.mark.parametrize(
    ("goal", "value", "is_met"),
    [
        (Goal("S", "cost", "at most", 20), 20, True),
        (Goal("S", "cost", "at most", 19.9), 20, False),
        (Goal("S", "cost", "at least", 20), 20, True),
        (Goal("S", "cost", "at least", 20.1), 20, False),
        (Goal("S", "cost", "times at most", 2.5, "relay"), 2.5, True),
        (Goal("S", "cost", "times at most", 2.4, "relay"), 2.5, False),
        (Goal("S", "cost", "times better", 15, "obvious"), 15, True),
        (Goal("S", "cost", "times better", 15.1, "obvious"), 15, False),
        (Goal("S", "cost", "more at most", 12, "relay"), 12, True),
        (Goal("S", "cost", "more at most", 11.9, "relay"), 12, False),
        (Goal("S", "cost", "at most", 7, contender="relay"), 8, False),
    ],
)
def test_each_kind_is_judged(goal: Goal, value: float, is_met: bool) -> None:
    (verdict,) = judged(MEDIANS, [goal])
    assert (verdict.value, verdict.is_met) == (value, is_met)


@pytest.mark.parametrize(
    "goal",
    [
        Goal("other", "cost", "at most", 1),
        Goal("S", "other", "at most", 1),
        Goal("S", "cost", "at most", 1, contender="other"),
        Goal("S", "cost", "times at most", 1, "other"),
    ],
)
def test_what_was_not_measured_is_not_judged(goal: Goal) -> None:
    assert judged(MEDIANS, [goal]) == []


def test_a_relay_that_costs_nothing_meets_no_goal() -> None:
    medians = {"S": {"retinue-postgresql": {"cost": 20.0}, "relay": {"cost": 0.0}}}
    (verdict,) = judged(medians, [Goal("S", "cost", "times at most", 3, "relay")])
    assert not verdict.is_met


def test_goals_are_about_figures_that_exist() -> None:
    assert {goal.figure for goal in GOALS} <= set(LABELS)
