"""S1: answers as fast as the model can send them."""

import asyncio
from time import monotonic

from tests.bench.contenders import Contender
from tests.bench.load import Client
from tests.bench.machine import cpu_seconds
from tests.bench.plan import Plan
from tests.bench.scenarios.timing import times_within

TOKENS = 500


async def burst(contender: Contender, *, streams: int, seconds: float) -> dict[str, float]:
    """So many streams at the same time, each of answers one after the other, for about so long."""
    plan = Plan(TOKENS)
    async with Client.several(contender.port, streams) as clients:

        async def speak(number: int, times: int) -> None:
            for _ in range(times):
                contender.check(await clients[number].ask(contender.ask(number, plan)), plan)

        async def all_speak(times: int) -> float:
            await contender.prepare(streams, times)
            began = monotonic()
            await asyncio.gather(*(speak(number, times) for number in range(streams)))
            return monotonic() - began

        await all_speak(1)
        answers = times_within(seconds, await all_speak(1), most=100)
        await contender.prepare(streams, answers)
        cpu = cpu_seconds(contender.pids)
        took = await all_speak(answers)
        cpu = cpu_seconds(contender.pids) - cpu
    tokens = streams * answers * TOKENS
    return {"tokens_per_s": tokens / took, "cpu_ms_per_1000_tokens": cpu * 1e6 / tokens}
