"""kill -9 while money is reserved: what the dead held comes back within a lease, and nothing is paid twice."""

import asyncio
import time
from collections.abc import Callable

import pytest

from tests.chaos.books import active_runs, all_over
from tests.chaos.money import WORST_MICROS, Purse, forget_conversations, held, hire_for_money
from tests.chaos.world import LEASE_SECONDS, PATIENCE, RECOVERY_SECONDS, begin
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.store import execute, rows
from tests.e2e.streams.talk import more_conversations
from tests.support.upstream import ThreadedUpstream

pytestmark = pytest.mark.slow

LEASE = LEASE_SECONDS
STREAMS = 6
SLOW = "tokens-12-250ms"
ATTEMPTS = "SELECT attempt FROM runs WHERE tenant_id = {}"


async def until_held(purse: Purse, world: Replicas, micros: int, *, within: float) -> float:
    """Seconds until the budget holds so much, in the budget itself and in the rows of its calls."""
    began = time.monotonic()
    while (found := ((await purse.now()).reserved_micros, await held(world.here))) != (micros, micros):
        assert time.monotonic() - began < within, found
        await asyncio.sleep(0.05)
    return time.monotonic() - began


async def kill_all(world: Replicas) -> None:
    servers = dict.fromkeys(world)
    for server in servers:
        server.kill()
    for server in servers:
        await asyncio.to_thread(server.start)


async def talking(world: Replicas, upstream: ThreadedUpstream) -> Purse:
    """Several answers have begun, nobody listens any more, and each holds what it can cost at most."""
    clients = [server.client() for server in world]
    first, purse = await hire_for_money(clients[0], upstream, SLOW, limit_micros=100 * WORST_MICROS)
    conversations = [first, *await more_conversations(clients[0], first, STREAMS - 1)]
    for number, conversation in enumerate(conversations):
        async with await begin(clients[number % 2], conversation.id, "Go", protocol="events") as stream:
            await stream.take(5)
    await until_held(purse, world, STREAMS * WORST_MICROS, within=1)
    return purse


async def test_runs_that_go_on_hold_once_what_they_need(world: Replicas, upstream: ThreadedUpstream) -> None:
    purse = await talking(world, upstream)
    await kill_all(world)
    assert await held(world.here) == STREAMS * WORST_MICROS, "nobody could give it back"
    while active := await active_runs(world.here):
        budget = await purse.now()
        assert budget.reserved_micros <= len(active) * WORST_MICROS
        await asyncio.sleep(0.05)
    budget, used = await purse.now(), await purse.used()
    assert (budget.reserved_micros, budget.spent_micros) == (0, used["cost_micros"])
    attempts = [attempt for (attempt,) in await rows(world.here, ATTEMPTS, purse.tenant)]
    assert min(attempts) > 1, "each was taken over"
    assert (used["runs"], used["calls"]) == (STREAMS, sum(attempts)), "a call for each attempt, however many it took"


async def test_what_dead_runs_held_comes_back_within_a_lease(
    world: Replicas, upstream: ThreadedUpstream, figure: Callable[[str], None]
) -> None:
    purse = await talking(world, upstream)
    await execute(world.here, "UPDATE runs SET attempt = 9 WHERE finished_at IS NULL")
    await kill_all(world)
    took = await until_held(purse, world, 0, within=RECOVERY_SECONDS)
    assert not await active_runs(world.here)
    figure(f"money of {STREAMS} dead runs was back after {took:.2f} s, with a lease of {LEASE_SECONDS:.0f} s")


async def test_what_deleted_runs_held_comes_back_too(world: Replicas, upstream: ThreadedUpstream) -> None:
    """Nobody takes over what is not there: the rows of its calls are found by themselves."""
    purse = await talking(world, upstream)
    for server in dict.fromkeys(world):
        server.kill()
    await forget_conversations(world.here)
    for server in dict.fromkeys(world):
        await asyncio.to_thread(server.start)
    await until_held(purse, world, 0, within=PATIENCE)
    await all_over(world.here, within=PATIENCE)
