"""S5: what a stream holds while it says next to nothing."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack, ExitStack
from time import monotonic

from tests.bench.arena import Arena
from tests.bench.contenders import Contender
from tests.bench.load import Client, Wrong
from tests.bench.machine import memory_kib
from tests.bench.plan import Plan
from tests.bench.scenarios.turns import turns

FEW = 16
SLOW = Plan(tokens=10_000, gap_ms=1000)
"""More than anybody waits for: the streams end with the process."""
_AT_A_TIME = 32
_SETTLE_SECONDS = 5.0
_LATE_SECONDS = 5.0


async def crowd(arena: Arena, name: str, *, streams: int) -> dict[str, float]:
    """Of a process of its own, which has taken some hundred turns and carries a few slow streams: by what it grows with
    so many more.
    """
    with ExitStack() as stack:
        options = {"more": {"RETINUE_RUNS_DRAIN_SECONDS": "0.1"}} if name.startswith("retinue") else {}
        contender = await arena.open(stack, name, **options)
        await turns(contender, seconds=1)
        await contender.prepare(FEW + streams, 1)
        async with AsyncExitStack() as clients:
            few = await clients.enter_async_context(Client.several(contender.port, FEW))
            await _begin(contender, few, 0)
            before = memory_kib(contender.pids)
            many = await clients.enter_async_context(Client.several(contender.port, streams))
            began = await _begin(contender, many, FEW)
            after = memory_kib(contender.pids)
            refuse_silent(many, began, monotonic())
    return {"kib_per_stream": (after - before) / streams, "process_mib": after / 1024}


async def _begin(contender: Contender, clients: Sequence[Client], first: int) -> list[float]:
    """Let each of them get its first token; and when that was."""
    places = asyncio.Semaphore(_AT_A_TIME)

    async def begin(number: int, client: Client) -> float:
        async with places:
            client.send(contender.ask(first + number, SLOW))
            await client.first_token()
        return monotonic()

    began = await asyncio.gather(*(begin(number, client) for number, client in enumerate(clients)))
    await asyncio.sleep(_SETTLE_SECONDS)
    return began


def refuse_silent(clients: Sequence[Client], began: Sequence[float], now: float) -> None:
    """Each must have got a token a second, up to some that are under way.

    Raises:
        Wrong: one has not.
    """
    for client, at in zip(clients, began, strict=True):
        if client.tokens < now - at - _LATE_SECONDS:
            raise Wrong(f"a slow stream has brought {client.tokens} tokens in {now - at:.0f} seconds")
