"""Whether answers take longer, or not as long, where somebody else's thing is asked for."""

from collections.abc import Sequence
from math import comb
from statistics import median
from time import perf_counter

import msgspec

from retinue.proving.attacks import Attack
from retinue.proving.exchange import Server

SUSPICIOUS_RATIO = 1.15
SUSPICIOUS_CHANCE = 0.001
"""How likely it may be at most that equal times look so unequal."""


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    operation: str
    places: str
    foreign_ms: float
    """Median."""
    missing_ms: float
    chance: float
    """Of the sign test, two-sided: that the times are equal and it only looks otherwise."""

    @property
    def ratio(self) -> float:
        return self.foreign_ms / self.missing_ms

    @property
    def is_suspicious(self) -> bool:
        is_unequal = not 1 / SUSPICIOUS_RATIO < self.ratio < SUSPICIOUS_RATIO
        return is_unequal and self.chance < SUSPICIOUS_CHANCE


async def measure(server: Server, attack: Attack, rounds: int) -> Timing:
    """Ask for both in turns, alternately first the one and first the other."""
    asks, credential = attack.asks, attack.attacker.credential
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for which in (0, 1) if number % 2 else (1, 0):
            begin = perf_counter()
            await server.ask(asks[which], credential)
            times[which].append(perf_counter() - begin)
    return Timing(
        operation=attack.entry.label,
        places=attack.places,
        foreign_ms=median(times[0]) * 1000,
        missing_ms=median(times[1]) * 1000,
        chance=sign_test(*times),
    )


def sign_test(first: Sequence[float], second: Sequence[float]) -> float:
    """How likely it is, if neither is greater as a rule, that one is so often greater as it was."""
    signs = [one > other for one, other in zip(first, second, strict=True) if one != other]
    rarer = min(sum(signs), len(signs) - sum(signs))
    as_rare: int = sum(comb(len(signs), k) for k in range(rarer + 1))
    return min(1.0, 2 * as_rare / (1 << len(signs)))
