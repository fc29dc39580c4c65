"""Redis dies, freezes and forgets under live streams: every text arrives whole."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.chaos.logs import Event, check_log, check_order, counting_text, events_of, stored_log
from tests.chaos.outages import BreakableRedis
from tests.chaos.sizes import SIZES
from tests.chaos.world import begin, followed, hire
from tests.e2e.streams.runs import script
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.talk import eventually, more_conversations
from tests.support.client import RetinueClient
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

BETWEEN = 0.1
"""Seconds between two words, so that a stall shows."""
PLENTY = 30.0


@dataclass
class Reader:
    """A follower and how long it had to wait."""

    events: list[Event] = field(default_factory=list)
    longest: float = 0.0
    """Seconds between two events."""

    async def read(self, client: RetinueClient, run: str) -> None:
        async with await followed(client, run) as stream:
            before = time.monotonic()
            async for frame in stream:
                now = time.monotonic()
                self.longest, before = max(self.longest, now - before), now
                self.events += events_of([frame])
            stream.check_end()


async def _hold(
    replicas: Replicas,
    upstream: ThreadedUpstream,
    trouble: Callable[[], Coroutine[Any, Any, None]],
    seconds: float,
    count: int,
) -> float:
    """Streams that last for a while, followed from the other replica, with trouble meanwhile; the longest stall."""
    here, there = (server.client() for server in replicas)
    words = round(seconds / BETWEEN)
    first = await hire(here, upstream, f"tokens-{words}-{BETWEEN * 1000:.0f}ms")
    conversations = [first, *await more_conversations(here, first, count - 1)]
    own = [await begin(here, one.id, "Talk to me", protocol="events") for one in conversations]
    runs = [(await stream.take(1))[0].json["run_id"] for stream in own]
    readers = [Reader() for _ in runs]
    reading = [asyncio.create_task(reader.read(there, run)) for reader, run in zip(readers, runs, strict=True)]
    causing = asyncio.create_task(trouble())
    try:
        async with asyncio.timeout(seconds + PLENTY):
            await asyncio.gather(*reading)
            wholes = [events_of([*stream.seen, *await stream.rest()]) for stream in own]
    finally:
        causing.cancel()
        with suppress(asyncio.CancelledError):
            await causing
        for stream in own:
            await stream.disconnect()
    for reader, whole, run in zip(readers, wholes, runs, strict=True):
        check_order(reader.events)
        assert check_log(whole)["type"] == "run.completed"
        assert counting_text(whole) == tokens(words).text
        assert whole == reader.events == await stored_log(there, run)
    assert len(upstream.requests) == count
    return max(reader.longest for reader in readers)


@pytest.fixture
async def healed(replicas: Replicas, redis: BreakableRedis) -> AsyncIterator[None]:
    """Redis as it should be before and after a test, and both replicas ready."""
    yield
    redis.kill()
    redis.start()
    for server in replicas:
        await asyncio.to_thread(server.wait_until_ready)


@pytest.mark.usefixtures("healed")
async def test_redis_is_killed_again_and_again(
    replicas: Replicas, upstream: ThreadedUpstream, redis: BreakableRedis, figure: Callable[[str], None]
) -> None:
    kills = 0

    async def trouble() -> None:
        nonlocal kills
        while True:
            await asyncio.sleep(SIZES.outage_period - SIZES.redis_down)
            redis.kill()
            kills += 1
            await asyncio.sleep(SIZES.redis_down)
            await asyncio.to_thread(redis.start)

    stall = await _hold(replicas, upstream, trouble, SIZES.outage_seconds, SIZES.outage_streams)
    assert kills > 1
    figure(
        f"{kills} times {SIZES.redis_down} s without Redis under {SIZES.outage_streams} streams: stall {stall:.2f} s"
    )
    assert stall < 5


class Trouble:
    """Harms Redis in one way, again and again."""

    def __init__(self, kind: str, redis: BreakableRedis, rng: random.Random) -> None:
        self.kind, self._redis, self._rng = kind, redis, rng
        self.times = 0

    async def __call__(self) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(0.3, 0.8))
            await getattr(self, self.kind)()
            self.times += 1

    async def flushed(self) -> None:
        await asyncio.to_thread(self._redis.command, "FLUSHALL")

    async def restarted(self) -> None:
        self._redis.kill()
        await asyncio.to_thread(self._redis.start)

    async def frozen(self) -> None:
        self._redis.freeze()
        await asyncio.sleep(self._rng.uniform(0.5, 2.0))
        self._redis.thaw()


@pytest.fixture(params=["flushed", "restarted", "frozen"])
def trouble(request: pytest.FixtureRequest, redis: BreakableRedis, rng: random.Random) -> Trouble:
    return Trouble(request.param, redis, rng)


@pytest.mark.usefixtures("healed")
async def test_redis_misbehaves(
    replicas: Replicas, upstream: ThreadedUpstream, trouble: Trouble, figure: Callable[[str], None]
) -> None:
    stall = await _hold(replicas, upstream, trouble, SIZES.outage_seconds / 3, SIZES.outage_streams)
    assert trouble.times > 0
    figure(f"Redis {trouble.kind} {trouble.times} times under {SIZES.outage_streams} streams: stall {stall:.2f} s")
    assert stall < 5


@pytest.mark.usefixtures("healed")
async def test_cancelling_without_redis(
    replicas: Replicas, upstream: ThreadedUpstream, redis: BreakableRedis, figure: Callable[[str], None]
) -> None:
    """The signal gets lost; the database says the same, a little later."""
    here, there = (server.client() for server in replicas)
    conversation = (await hire(here, upstream)).id
    redis.kill()
    async with await begin(here, conversation, script(tokens(3).stall(3)), protocol="events") as stream:
        for _ in range(3):
            await stream.until("text.delta")
        run = stream.seen[0].json["run_id"]
        started = time.monotonic()
        answer = await there.post(f"/runs/{run}/cancel")
        assert answer.status in {200, 202}, answer
        await asyncio.to_thread(upstream.wait_for_close, 0, within=10)
        took = (upstream.requests[0].closed_at or 0.0) - started
        await stream.rest()
    redis.start()

    async def receipt() -> object:
        return (await there.post(f"/runs/{run}/cancel")).expect(200).json["receipt"]

    assert await eventually(receipt, within=5)
    assert check_log(await stored_log(there, run))["type"] == "run.cancelled"
    assert len(upstream.requests) == 1
    figure(f"without Redis a cancel on the other replica closes the socket after {took:.2f} s")
    assert took < 5
