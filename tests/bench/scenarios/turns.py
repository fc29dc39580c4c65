"""S4: short turns, one after the other, each of them stored."""

import asyncio
from statistics import median
from time import monotonic

from tests.bench.contenders import Contender
from tests.bench.load import Client
from tests.bench.machine import cpu_seconds
from tests.bench.plan import Plan

CLIENTS = 32
TOKENS = 10


async def turns(contender: Contender, *, each: int, plan: Plan = Plan(TOKENS)) -> dict[str, float]:
    """A closed loop of `CLIENTS`, so many turns each."""
    warm = 3
    await contender.prepare(CLIENTS, each + warm)
    clients = [await Client.connect(contender.port) for _ in range(CLIENTS)]
    times: list[float] = []

    async def speak(number: int, count: int) -> None:
        for _ in range(count):
            told = await clients[number].ask(contender.ask(number, plan))
            contender.check(told, plan)
            times.append(told.took / 1000)

    await asyncio.gather(*(speak(number, warm) for number in range(CLIENTS)))
    times.clear()
    cpu, began = cpu_seconds(contender.pids), monotonic()
    await asyncio.gather(*(speak(number, each) for number in range(CLIENTS)))
    took, cpu = monotonic() - began, cpu_seconds(contender.pids) - cpu
    for client in clients:
        client.close()
    count = CLIENTS * each
    return {"turns_per_s": count / took, "cpu_ms_per_turn": cpu * 1000 / count, "turn_p50_ms": median(times)}
