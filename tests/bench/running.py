"""One run: every scenario, round after round, contender after contender."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import NamedTuple

from tests.bench.arena import CONTENDERS, POSTGRESQL, Arena
from tests.bench.contenders import Contender
from tests.bench.figures import Figures, medians
from tests.bench.load import Wrong
from tests.bench.scenarios.base import Scenario


class Outcome(NamedTuple):
    scenario: Scenario
    rounds: dict[str, list[Figures]]
    """By contender, in the order in which they were measured."""

    @property
    def medians(self) -> dict[str, dict[str, float]]:
        return {name: medians(rounds) for name, rounds in self.rounds.items()}


async def run(
    arena: Arena, scenario: Scenario, names: Sequence[str], rounds: int, say: Callable[[str], None]
) -> Outcome:
    """Measure those of the contenders that the scenario is for. Who begins changes from round to round.

    Raises:
        Wrong: one of them has answered wrongly; figures of it would mean nothing.
    """
    chosen = [name for name in scenario.contenders if (name if name in CONTENDERS else POSTGRESQL) in names]
    outcome = Outcome(scenario, {name: [] for name in chosen})
    with ExitStack() as own:
        contenders = {name: await _opened(arena, scenario, own, name) for name in chosen}
        for number in range(min(rounds, scenario.most_rounds)):
            for name in rotated(chosen, number):
                figures = await _measured(arena, scenario, contenders[name])
                outcome.rounds[name].append(figures)
                told = ", ".join(f"{figure} {value:.4g}" for figure, value in figures.items())
                say(f"{scenario.name}, round {number + 1}, {name}: {told}")
    return outcome


def rotated(names: Sequence[str], by: int) -> list[str]:
    first = by % len(names) if names else 0
    return [*names[first:], *names[:first]]


async def _opened(arena: Arena, scenario: Scenario, own: ExitStack, name: str) -> Contender:
    if scenario.open is None:
        return await arena.shared(name)
    return await scenario.open(arena, own, name)


async def _measured(arena: Arena, scenario: Scenario, contender: Contender) -> Figures:
    try:
        return await scenario.measure(arena, contender)
    except Wrong as error:
        raise Wrong(f"{scenario.name}, {contender.name}: {error}") from error
