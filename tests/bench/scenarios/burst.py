"""S1: answers as fast as the model can send them."""

import asyncio
from time import monotonic

from tests.bench.contenders import Contender
from tests.bench.load import Client
from tests.bench.machine import cpu_seconds
from tests.bench.plan import Plan

TOKENS = 500


async def burst(contender: Contender, *, streams: int, answers: int) -> dict[str, float]:
    """So many streams at the same time, each of so many answers, one after the other."""
    plan = Plan(TOKENS)
    await contender.prepare(streams, answers + 1)
    clients = [await Client.connect(contender.port) for _ in range(streams)]

    async def speak(number: int, times: int) -> None:
        for _ in range(times):
            told = await clients[number].ask(contender.ask(number, plan))
            contender.check(told, plan)

    await asyncio.gather(*(speak(number, 1) for number in range(streams)))
    cpu, began = cpu_seconds(contender.pids), monotonic()
    await asyncio.gather(*(speak(number, answers) for number in range(streams)))
    took, cpu = monotonic() - began, cpu_seconds(contender.pids) - cpu
    for client in clients:
        client.close()
    tokens = streams * answers * TOKENS
    return {"tokens_per_s": tokens / took, "cpu_ms_per_1000_tokens": cpu * 1e6 / tokens}
