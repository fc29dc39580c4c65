"""A tenant that asks for ten times what it may is refused, and nobody else is."""

import asyncio
from collections import Counter
from collections.abc import Callable

import pytest

from tests.chaos.noisy import Voice, more_of, voice
from tests.chaos.world import asked_for, send
from tests.e2e.streams.servers import Replicas
from tests.support import http1
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

QUIET = 10
LIMIT = 30


async def shout(world: Replicas, noisy: Voice, count: int) -> Counter[int]:
    """So many requests at once, every other one to the other replica; the statuses of the answers."""

    async def one(number: int) -> int:
        return (await noisy.at(world[number % 2].address).get(f"/conversations/{noisy.conversation}")).status

    told: Counter[int] = Counter()
    for begun in range(0, count, 20):
        told.update(await asyncio.gather(*(one(number) for number in range(begun, min(begun + 20, count)))))
    return told


async def test_ten_times_too_much_is_refused_and_others_are_not(
    world: Replicas, upstream: ThreadedUpstream, figure: Callable[[str], None]
) -> None:
    """Over all replicas together no more passes than may."""
    operator = world.here.client()
    noisy, quiet = await voice(operator, upstream, requests_per_minute=LIMIT), await voice(operator, upstream)
    began = asyncio.get_running_loop().time()
    shouting = asyncio.create_task(shout(world, noisy, 10 * LIMIT))
    answers = []
    for number in range(QUIET):
        client = quiet.at(world[number % 2].address)
        answers.append((await client.ask(await more_of(quiet, client), f"Quietly {number}")).text)
    told = await shouting
    took = asyncio.get_running_loop().time() - began
    assert answers == [f"You said: Quietly {number}" for number in range(QUIET)]
    assert set(told) == {200, 429}
    # Where Redis was too slow for a moment, each replica took from a bucket of its own.
    full = LIMIT * (1 + any("rates_slow" in server.output for server in world))
    assert LIMIT <= told[200] <= full * (1 + took / 60) + 2, "what is refilled meanwhile, and no more"
    figure(f"{told[200]} of {told.total()} requests at {LIMIT} a minute passed in {took:.0f} s")


async def test_what_is_refused_reaches_no_model(world: Replicas, upstream: ThreadedUpstream) -> None:
    operator = world.here.client()
    noisy = await voice(operator, upstream, concurrent_runs=2)
    conversations = [await more_of(noisy, noisy.at(world.here.address)) for _ in range(10)]
    upstream.enqueue(*[tokens(3).hold(1)] * 10)
    clients = [noisy.at(server.address) for server in world]
    responses = await asyncio.gather(
        *(send(clients[n % 2], each, f"<shout {n}>") for n, each in enumerate(conversations))
    )
    assert Counter(response.status for response in responses) == {200: 2, 429: 8}
    assert len(asked_for(upstream, "<shout")) == 2
    for response in responses:
        await _is_refused_properly(response)
    upstream.release()
    for response in responses:
        await response.read()
        await response.close()
    upstream.reset()


async def _is_refused_properly(response: http1.Response) -> None:
    if response.status == 429:
        assert b'"too_many_runs"' in await response.read()
        assert int(response.header("retry-after") or 0) >= 1
