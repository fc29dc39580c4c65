"""SIGTERM while calls are made and while people are asked: what can be finished is, and of the rest nobody lies."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.chaos.effects.cast import Cast, assemble
from tests.chaos.effects.points import IN_DOUBT, Point
from tests.chaos.effects.receiver import Receiver
from tests.chaos.effects.script import SET, WRITE
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.talk import eventually
from tests.support.forking import ForkedServer
from tests.support.upstream import ThreadedUpstream

pytestmark = pytest.mark.slow

MORE = {"RETINUE_RUNS_DRAIN_SECONDS": "2"}
WITHIN = 20.0
PARTS = [
    (WRITE, Point.EXECUTING),
    (WRITE, Point.RECEIVED),
    (SET, Point.RECEIVED),
    (WRITE, Point.ANSWERED),
    (WRITE, Point.ASKED),
    (SET, Point.NEXT_CALL),
]


async def _gather(cast: Cast, host: ForkedServer) -> ForkedServer:
    """Let all errands come to their points. Gives the process in which most of them stand still: a run goes on where a
    person has decided, unless the other process looks around at that moment.
    """
    for errand in cast.errands:
        errand.clients = [host.client()]
    await asyncio.gather(*(errand.go_to_the_point() for errand in cast.errands))
    for errand in cast.errands:
        errand.clients = [server.client() for server in cast.world]
    pids = [errand.pid for errand in cast.errands]
    return max(cast.world, key=lambda server: pids.count(server.process.pid))


@asynccontextmanager
async def _draining(world: Replicas, cast: Cast) -> AsyncIterator[int]:
    """A server from the signal to its end, which must be an orderly one; started again after that.

    Gives its process id.
    """
    victim = await _gather(cast, world.here)
    before = len(victim.output)
    victim.process.send(signal.SIGTERM)

    async def is_draining() -> bool | None:
        return True if '"draining"' in victim.output[before:] else None

    await eventually(is_draining, within=5)
    yield victim.process.pid
    assert await asyncio.to_thread(victim.process.wait, within=WITHIN) == 0
    await asyncio.to_thread(victim.start)


async def _finish(cast: Cast, server: ForkedServer) -> None:
    await asyncio.gather(*(errand.finish() for errand in cast.errands))
    await cast.check(server.client())


async def test_what_ends_in_time_is_told_as_it_was(
    world: Replicas, upstream: ThreadedUpstream, receiver: Receiver, rng: random.Random
) -> None:
    cast = await assemble(world, upstream, receiver, rng, PARTS)
    try:
        async with _draining(world, cast):
            cast.release()
        await _finish(cast, world.here)
    finally:
        cast.leave()
    for errand in cast.errands:
        assert not errand.resolutions, str(errand)


async def test_what_takes_longer_is_in_doubt(
    world: Replicas, upstream: ThreadedUpstream, receiver: Receiver, rng: random.Random
) -> None:
    cast = await assemble(world, upstream, receiver, rng, PARTS)
    try:
        async with _draining(world, cast) as pid:
            standing = cast.note_lost(pid)
        cast.release()
        await _finish(cast, world.here)
    finally:
        cast.leave()
    for errand in cast.errands:
        is_doubtful = errand in standing and errand.point in IN_DOUBT and errand.target.tool == WRITE
        assert set(errand.resolutions) == ({errand.target.id} if is_doubtful else set()), str(errand)
