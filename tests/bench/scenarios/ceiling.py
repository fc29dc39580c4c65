"""S3: how many answers at the pace of a model, as long as those of S2, one core can carry."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.bench.contenders import Contender
from tests.bench.scenarios.paced import TOKENS, paced

LATEST_MS = 50
FIRST = 50
MOST = 3200
FINENESS = 1.1
"""The search ends when what is too much is so many times what is not."""


class Step(NamedTuple):
    streams: int
    transit_p99_ms: float
    rest_busy: float

    @property
    def holds(self) -> bool:
        return self.transit_p99_ms <= LATEST_MS


async def ceiling(contender: Contender, *, rest: frozenset[int], tokens: int = TOKENS) -> dict[str, float]:
    """Double the streams until their tokens are late, then halve the interval."""

    async def measure(streams: int) -> Step:
        figures = await paced(contender, streams=streams, rest=rest, tokens=tokens)
        return Step(streams, figures["transit_p99_ms"], figures["rest_busy"])

    held, broken = await search(measure)
    return {
        "streams": held.streams if held else 0,
        "transit_p99_ms": held.transit_p99_ms if held else 0.0,
        "rest_busy_beyond": broken.rest_busy if broken else 0.0,
    }


async def search(measure: Callable[[int], Awaitable[Step]]) -> tuple[Step | None, Step | None]:
    """The most streams that were held, and the fewest that were not. What fails gets a second try: the machine may have
    been busy with something else.
    """
    held: Step | None = None
    broken: Step | None = None
    streams = FIRST
    while streams:
        step = await measure(streams)
        if not step.holds:
            step = min(step, await measure(streams), key=lambda each: each.transit_p99_ms)
        held, broken = (step, broken) if step.holds else (held, step)
        streams = _next(held, broken)
    return held, broken


def _next(held: Step | None, broken: Step | None) -> int:
    """0 at the end."""
    if broken is None:
        assert held is not None
        return held.streams * 2 if held.streams * 2 <= MOST else 0
    if held is None:
        return broken.streams // 2
    return (
        (held.streams + broken.streams) // 2 if broken.streams > max(held.streams * FINENESS, held.streams + 1) else 0
    )
