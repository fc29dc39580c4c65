"""S2, S3: answers at the pace of a model."""

import asyncio
from time import monotonic

from tests.bench.contenders import Contender
from tests.bench.load import Client, Told
from tests.bench.machine import cpu_seconds
from tests.bench.plan import Plan

GAP_MS = 20
TOKENS = 200


def percentile(values: list[int], share: float) -> float:
    """In milliseconds, of microseconds."""
    return sorted(values)[min(int(len(values) * share), len(values) - 1)] / 1000


async def paced(contender: Contender, *, streams: int, answers: int, tokens: int = TOKENS) -> dict[str, float]:
    """So many streams, which begin evenly spread over the time that an answer takes; so many answers each."""
    plan = Plan(tokens, GAP_MS)
    length = tokens * GAP_MS / 1000
    await contender.prepare(streams, answers + 1)
    clients = [await Client.connect(contender.port) for _ in range(streams)]
    told: list[Told] = []

    async def speak(number: int, times: int, over: float) -> None:
        await asyncio.sleep(over * number / streams)
        for _ in range(times):
            answer = await clients[number].ask(contender.ask(number, plan))
            contender.check(answer, plan)
            told.append(answer)

    await asyncio.gather(*(speak(number, 1, 0.5) for number in range(streams)))
    told.clear()
    cpu, began = cpu_seconds(contender.pids), monotonic()
    await asyncio.gather(*(speak(number, answers, length) for number in range(streams)))
    took, cpu = monotonic() - began, cpu_seconds(contender.pids) - cpu
    for client in clients:
        client.close()
    firsts = [answer.first_at - answer.asked_at for answer in told]
    transits = [transit for answer in told for transit in answer.transits]
    return {
        "first_token_p50_ms": percentile(firsts, 0.5),
        "first_token_p99_ms": percentile(firsts, 0.99),
        "transit_p50_ms": percentile(transits, 0.5),
        "transit_p99_ms": percentile(transits, 0.99),
        "cpu_ms_per_1000_tokens": cpu * 1e6 / len(transits),
        "core": cpu / took,
    }
