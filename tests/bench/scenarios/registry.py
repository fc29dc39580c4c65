"""All scenarios, in full and in short."""

from tests.bench.arena import OBVIOUS, POSTGRESQL, RELAY, SQLITE, Arena
from tests.bench.contenders import Contender
from tests.bench.scenarios.base import Scenario
from tests.bench.scenarios.burst import burst
from tests.bench.scenarios.paced import paced
from tests.bench.scenarios.turns import turns

_CPU = "cpu_ms_per_1000_tokens"
_COMPARED = (RELAY, OBVIOUS, SQLITE, POSTGRESQL)


def full() -> list[Scenario]:
    return [_s1(1, 4), _s1(8, 4), _s2(200), _s4(6)]


def quick() -> list[Scenario]:
    """Nothing here is exact; it shows where the figures are."""
    short = [_s1(1, 1), _s1(8, 1), _s2(100), _s4(1.5)]
    return [scenario._replace(contenders=_COMPARED, most_rounds=1) for scenario in short]


def _s1(streams: int, seconds: float) -> Scenario:
    async def measure(_: Arena, contender: Contender) -> dict[str, float]:
        return await burst(contender, streams=streams, seconds=seconds)

    return Scenario(f"S1 x{streams}", f"{streams} at once, 500 tokens each, as fast as they come", _CPU, measure)


def _s2(tokens: int) -> Scenario:
    async def measure(arena: Arena, contender: Contender) -> dict[str, float]:
        return await paced(contender, streams=50, rest=arena.cores.rest, tokens=tokens)

    return Scenario("S2", f"50 at once, {tokens} tokens each, one in 20 ms", _CPU, measure)


def _s4(seconds: float) -> Scenario:
    async def measure(_: Arena, contender: Contender) -> dict[str, float]:
        return await turns(contender, seconds=seconds)

    title = "32 clients in a closed loop, turns of 10 tokens, stored by all but the relays"
    return Scenario("S4", title, "turns_per_s", measure, is_more_better=True)
