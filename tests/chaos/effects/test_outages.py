"""Redis or PostgreSQL goes away while people are asked, decide, and calls are made: nothing is lost or made twice."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import pytest

from tests.chaos.effects.cast import Cast, assemble
from tests.chaos.effects.points import Point
from tests.chaos.effects.receiver import Receiver
from tests.chaos.effects.script import SET, WRITE
from tests.chaos.outages import BreakableRedis
from tests.chaos.sizes import SIZES
from tests.e2e.streams.servers import Replicas
from tests.support.databases import Postgres
from tests.support.upstream import ThreadedUpstream

pytestmark = pytest.mark.slow

POINTS = (Point.PROPOSED, Point.ASKED, Point.DECIDED, Point.RECEIVED, Point.ANSWERED)


async def _everybody(replicas: Replicas, upstream: ThreadedUpstream, receiver: Receiver, rng: random.Random) -> Cast:
    """Errands that stand at all the points where something is to be stored or told next."""
    parts = [(rng.choice([WRITE, SET]), point) for point in POINTS]
    cast = await assemble(replicas, upstream, receiver, rng, [*parts, (WRITE, Point.RECEIVED)])
    await asyncio.gather(*(errand.go_to_the_point(rng.choice(replicas).client()) for errand in cast.errands))
    return cast


async def _check(cast: Cast, replicas: Replicas) -> None:
    """Nothing is in doubt: no process was lost."""
    await cast.check(replicas.there.client())
    for errand in cast.errands:
        assert not errand.resolutions, str(errand)


async def test_without_redis(
    replicas: Replicas, upstream: ThreadedUpstream, receiver: Receiver, redis: BreakableRedis, rng: random.Random
) -> None:
    """It is gone from before the decisions until everything is over."""
    cast = await _everybody(replicas, upstream, receiver, rng)
    redis.kill()
    try:
        cast.release()
        await asyncio.gather(*(errand.finish() for errand in cast.errands))
    finally:
        cast.leave()
        redis.start()
        for server in replicas:
            await asyncio.to_thread(server.wait_until_ready)
    await _check(cast, replicas)


@asynccontextmanager
async def _without_database(postgres: Postgres, replicas: Replicas) -> AsyncIterator[None]:
    """This database throws everybody out and lets nobody in."""
    name = urlsplit(replicas.here.environment["RETINUE_DATABASE_URL"]).path.strip("/")

    async def execute(statement: str) -> None:
        await asyncio.to_thread(postgres.execute, statement)

    await execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
    try:
        await execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        yield
    finally:
        await execute(f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')


async def test_without_postgresql(
    replicas: Replicas, upstream: ThreadedUpstream, receiver: Receiver, postgres: Postgres, rng: random.Random
) -> None:
    """It is gone for a while; what is decided and what comes of calls meanwhile waits for it."""
    cast = await _everybody(replicas, upstream, receiver, rng)
    try:
        async with _without_database(postgres, replicas):
            cast.release()
            finishing = [asyncio.create_task(errand.finish()) for errand in cast.errands]
            await asyncio.sleep(SIZES.redis_down)
            for errand in cast.errands:
                if errand.point is Point.RECEIVED:
                    assert len(receiver.of(errand.target.marker)) == 1
                elif errand.point is not Point.ANSWERED:
                    assert not receiver.of(errand.target.marker), "a call without an intent"
        await asyncio.gather(*finishing)
    finally:
        cast.leave()
    for server in replicas:
        await asyncio.to_thread(server.wait_until_ready)
    await _check(cast, replicas)
