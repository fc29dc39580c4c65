"""What Retinue is to reach, beside what was measured."""

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

from tests.bench.arena import OBVIOUS, POSTGRESQL, RELAY, SQLITE
from tests.bench.figures import ratio
from tests.bench.scenarios.following import FOLLOWER
from tests.bench.scenarios.growth import FLAT, SIZES

Medians = Mapping[str, Mapping[str, Mapping[str, float]]]
"""Figures by scenario and contender."""
Kind = Literal["at most", "at least", "times at most", "times better", "more at most"]
"""`times …` and `more …` compare with another contender; `times better` is of figures of which less is better."""


class Goal(NamedTuple):
    scenario: str
    figure: str
    kind: Kind
    limit: float
    than: str | None = None
    contender: str = POSTGRESQL

    def __str__(self) -> str:
        match self.kind:
            case "times at most":
                return f"≤ {self.limit:g} × {self.than}"
            case "times better":
                return f"≥ {self.limit:g} × better than {self.than}"
            case "more at most":
                return f"≤ {self.than} + {self.limit:g}"
            case "at least":
                return f"≥ {self.limit:g}"
            case "at most":
                return f"≤ {self.limit:g}"


class Verdict(NamedTuple):
    goal: Goal
    value: float
    """In the goal's terms: the figure itself, a ratio, or a difference."""

    @property
    def is_met(self) -> bool:
        if self.goal.kind in {"at least", "times better"}:
            return self.value >= self.goal.limit
        return self.value <= self.goal.limit


_SMALLEST, *_, _LARGEST = SIZES
_CPU = "cpu_ms_per_1000_tokens"
GOALS = (
    *(
        goal
        for scenario in ("S1 x1", "S1 x8")
        for goal in (
            Goal(scenario, _CPU, "at most", 20),
            Goal(scenario, _CPU, "times at most", 3, RELAY),
            Goal(scenario, _CPU, "times better", 14, OBVIOUS),
        )
    ),
    Goal("S2", _CPU, "at most", 120),
    Goal("S2", _CPU, "times at most", 1.9, RELAY),
    Goal("S2", "first_token_p50_ms", "at most", 6),
    Goal("S2", "first_token_p99_ms", "at most", 30),
    Goal("S2", "transit_p99_ms", "more at most", 5, RELAY),
    Goal("S2", "lag_p99_ms", "at most", 10),
    Goal("S3", "streams", "at least", 300),
    Goal("S4", "turns_per_s", "at least", 400),
    Goal("S4", "turns_per_s", "at least", 300, contender=SQLITE),
    Goal("S5 x500", "kib_per_stream", "at most", 40),
    Goal("S5 x1000", "kib_per_stream", "at most", 40),
    Goal("S6", _CPU, "times at most", 1.5, POSTGRESQL, contender=FOLLOWER),
    *(Goal("S7", figure, "times at most", 1.5, _SMALLEST, contender=_LARGEST) for figure in FLAT),
)


def judged(medians: Medians, goals: Sequence[Goal] = GOALS) -> list[Verdict]:
    """Of those goals whose figures were measured."""
    found = ((goal, _value(goal, medians.get(goal.scenario, {}))) for goal in goals)
    return [Verdict(goal, value) for goal, value in found if value is not None]


def _value(goal: Goal, by_contender: Mapping[str, Mapping[str, float]]) -> float | None:
    own = by_contender.get(goal.contender, {}).get(goal.figure)
    if own is None or goal.than is None:
        return own
    other = by_contender.get(goal.than, {}).get(goal.figure)
    if other is None:
        return None
    match goal.kind:
        case "more at most":
            return own - other
        case "times better":
            return ratio(other, own)
        case _:
            return ratio(own, other)
