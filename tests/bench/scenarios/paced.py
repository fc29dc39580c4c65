"""S2: answers at the pace of a model. Other scenarios raise their number or read them a second time."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import NamedTuple

from tests.bench.contenders import Contender
from tests.bench.figures import percentile
from tests.bench.load import Client, Told, Wrong
from tests.bench.machine import busy_seconds, cpu_seconds
from tests.bench.plan import Plan

GAP_MS = 20
TOKENS = 200
LAPS = 3


class _Meters(NamedTuple):
    at: float
    cpu: float
    beside: float
    rest: float
    tokens: int


Take = Callable[[int, Client], Awaitable[Told]]
"""One turn of a client, from its question to the end of the answer, checked."""


def asking(contender: Contender, plan: Plan) -> Take:
    async def take(number: int, client: Client) -> Told:
        told = await client.ask(contender.ask(number, plan))
        contender.check(told, plan)
        return told

    return take


async def paced(
    contender: Contender,
    *,
    streams: int,
    rest: frozenset[int] = frozenset(),
    tokens: int = TOKENS,
    take: Callable[[Contender, Plan], Take] = asking,
    beside: Sequence[int] = (),
) -> dict[str, float]:
    """So many streams, whose answers begin evenly spread over time; so many answers each, one after the other.

    The first answers warm it up, and the last ones run out: times are those of the answers between them, processor time
    is that of the time in which all streams speak.

    Args:
        rest: the cores of the load: while they are busy all the time, a late token says nothing of the contender.
        beside: processes whose cost is told, too, as that of others.
    """
    plan = Plan(tokens, GAP_MS)
    length = tokens * GAP_MS / 1000
    told: list[Told] = []
    one = take(contender, plan)
    await contender.prepare(streams, LAPS)
    async with Client.several(contender.port, streams) as clients:

        async def speak(number: int) -> None:
            await asyncio.sleep(length * number / streams)
            for lap in range(LAPS):
                answer = await one(number, clients[number])
                if 0 < lap < LAPS - 1:
                    told.append(answer)

        def read() -> _Meters:
            sent = sum(client.tokens for client in clients)
            return _Meters(monotonic(), cpu_seconds(contender.pids), cpu_seconds(beside), busy_seconds(rest), sent)

        speaking = [asyncio.create_task(speak(number)) for number in range(streams)]
        await asyncio.sleep(length)
        lag = await contender.lag()
        before = read()
        await asyncio.wait(speaking, return_when=asyncio.FIRST_COMPLETED)
        after = read()
        lag_after = await contender.lag()
        await asyncio.gather(*speaking)
    late = lag_after.since(lag).within_ms(0.99) if lag and lag_after else None
    return {**_times(told), **_costs(before, after), **({} if late is None else {"lag_p99_ms": late})}


def _times(told: Sequence[Told]) -> dict[str, float]:
    firsts = [(answer.first_at - answer.asked_at) / 1000 for answer in told]
    transits = [transit / 1000 for answer in told for transit in answer.transits]
    return {
        "first_token_p50_ms": percentile(firsts, 0.5),
        "first_token_p99_ms": percentile(firsts, 0.99),
        "transit_p50_ms": percentile(transits, 0.5),
        "transit_p99_ms": percentile(transits, 0.99),
    }


def _costs(before: _Meters, after: _Meters) -> dict[str, float]:
    took, sent = after.at - before.at, after.tokens - before.tokens
    if not sent:
        raise Wrong("no token came while all were to speak")
    beside = after.beside - before.beside
    return {
        "cpu_ms_per_1000_tokens": (after.cpu - before.cpu) * 1e6 / sent,
        **({"others_cpu_ms_per_1000_tokens": beside * 1e6 / sent} if beside else {}),
        "core": (after.cpu - before.cpu) / took,
        "rest_busy": (after.rest - before.rest) / took,
    }
