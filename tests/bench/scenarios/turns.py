"""S4, S8: short turns, one after the other, each of them stored."""

import asyncio
from statistics import median
from time import monotonic

from tests.bench.contenders import Contender
from tests.bench.load import Client
from tests.bench.machine import cpu_seconds
from tests.bench.plan import Plan
from tests.bench.scenarios.timing import times_within

CLIENTS = 32
TURN = Plan(tokens=10)
_WARM = 3


async def turns(
    contender: Contender, *, seconds: float = 0.0, each: int | None = None, plan: Plan = TURN
) -> dict[str, float]:
    """A closed loop of `CLIENTS`, so many turns each, or as many as there is time for."""
    times: list[float] = []
    async with Client.several(contender.port, CLIENTS) as clients:

        async def speak(number: int, count: int) -> None:
            for _ in range(count):
                told = await clients[number].ask(contender.ask(number, plan))
                contender.check(told, plan)
                times.append(told.took / 1000)

        async def all_speak(count: int) -> float:
            began = monotonic()
            await asyncio.gather(*(speak(number, count) for number in range(CLIENTS)))
            return monotonic() - began

        await contender.prepare(CLIENTS, _WARM)
        warm = await all_speak(_WARM) / _WARM
        each = times_within(seconds, warm, most=500) if each is None else each
        await contender.prepare(CLIENTS, each)
        times.clear()
        cpu = cpu_seconds(contender.pids)
        took = await all_speak(each)
        cpu = cpu_seconds(contender.pids) - cpu
    count = CLIENTS * each
    return {"turns_per_s": count / took, "cpu_ms_per_turn": cpu * 1000 / count, "turn_p50_ms": median(times)}
