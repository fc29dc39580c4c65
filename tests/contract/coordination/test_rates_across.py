"""Rates of several processes over one Redis, and what becomes of them without it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import msgspec
import pytest

from retinue.coordination.base import Verdict
from retinue.coordination.buckets import LocalBuckets, shares
from retinue.coordination.redis import RedisCoordination, decider
from retinue.coordination.redis.keys import PROCESSES
from retinue.domain.ids import new_id
from retinue.domain.limits import Bucket
from tests.contract.coordination.conftest import DEADLINE, TENANT_ID
from tests.contract.coordination.test_rates import ASKER, of_tenant, take
from tests.support.redis import RedisServer

pytestmark = pytest.mark.slow


@asynccontextmanager
async def process(url: str) -> AsyncIterator[RedisCoordination]:
    coordination = RedisCoordination(url, process=f"tests-{new_id()}")
    await coordination.start()
    try:
        yield coordination
    finally:
        async with asyncio.timeout(DEADLINE):
            await coordination.aclose()


async def counted(coordination: RedisCoordination) -> None:
    """The process has looked around, as it does every few seconds."""
    coordination._decider.count_soon()
    await take(coordination, of_tenant(1_000_000), 0, may_owe=True)


async def all_at_once(processes: Sequence[RedisCoordination], held: Sequence[Bucket], count: int) -> list[Verdict]:
    return await asyncio.gather(*(take(processes[n % len(processes)], held) for n in range(count)))


async def test_exactly_ten_of_fifty_pass_two_processes(redis_url: str) -> None:
    async with process(redis_url) as one, process(redis_url) as two:
        for _ in range(5):
            held = [msgspec.structs.replace(bucket, tenant_id=new_id()) for bucket in of_tenant(10, user=1000)]
            answers = await all_at_once((one, two), held, 50)
            assert sum(answer.is_allowed for answer in answers) == 10


async def test_what_is_kept_names_the_tenant_and_goes_by_itself(redis_url: str, shared_redis: RedisServer) -> None:
    async with process(redis_url) as one:
        await take(one, of_tenant(600, key=600, user=600), 300)
        with shared_redis.client() as client:
            keys = {str(key): client.pttl(key) for key in client.keys("*rate*")}
    assert len(keys) == 3
    for key, left in keys.items():
        assert str(TENANT_ID) in key
        assert str(ASKER.user_id) not in key
        assert 0 < left <= 30_000


async def test_garbage_in_a_bucket_harms_nobody(redis_url: str, shared_redis: RedisServer) -> None:
    held = of_tenant(10)
    async with process(redis_url) as one:
        await take(one, held)
        with shared_redis.client() as client:
            (key,) = client.keys("*rate*")
            client.set(key, "many")
            assert (await take(one, held)).remaining == 9
            client.delete(key)
            client.rpush(key, "a list")
            assert (await take(one, held)).is_allowed, "a bucket of this process's own is asked instead"
            client.delete(key)
            assert (await take(one, held)).remaining == 9


async def test_processes_know_how_many_they_are(redis_url: str, shared_redis: RedisServer) -> None:
    async with process(redis_url) as one, process(redis_url) as two:
        for each in (one, two, one):
            await take(each, of_tenant(10))
            await counted(each)
        assert (one._decider.processes, two._decider.processes) == (2, 2)
        with shared_redis.client() as client:
            assert 0 < client.ttl(PROCESSES) <= decider.ABSENT_SECONDS


async def test_without_a_server_each_process_keeps_its_share(redis_server: RedisServer) -> None:
    held = of_tenant(10)
    async with process(redis_server.url) as one, process(redis_server.url) as two:
        for each in (one, two, one):
            await take(each, held, 0, may_owe=True)
            await counted(each)
        redis_server.kill()
        answers = await all_at_once((one, two), held, 50)
        assert sum(answer.is_allowed for answer in answers) == 10
        assert {answer.limit for answer in answers} == {5}


async def test_a_server_that_is_silent_slows_nobody_for_long(redis_server: RedisServer) -> None:
    held = of_tenant(10_000)
    async with process(redis_server.url) as one:
        await take(one, held)
        redis_server.pause()
        began = time.monotonic()
        for _ in range(200):
            assert (await take(one, held)).is_allowed
        assert time.monotonic() - began < 4 * decider.PATIENCE
        redis_server.resume()
        async with asyncio.timeout(DEADLINE):
            while one._decider.is_slow:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await take(one, of_tenant(6), 3)
        with redis_server.client() as client:
            assert client.keys("*rate*"), "it is asked again"


async def test_a_server_that_was_never_there_slows_nobody() -> None:
    async with process("redis://127.0.0.1:1/0") as one:
        held = of_tenant(2)
        assert [(await take(one, held)).is_allowed for _ in range(3)] == [True, True, False]
        one.rates.give_back(held, 1)
        assert (await take(one, held)).is_allowed


def test_shares_are_never_nothing() -> None:
    (bucket,) = of_tenant(3)
    assert [each.per_minute for n in (1, 2, 3, 9) for each in shares([bucket], n)] == [3, 1, 1, 1]


def test_a_process_remembers_only_so_many_buckets() -> None:
    now = 0.0
    local = LocalBuckets(lambda: now, max_buckets=100)

    def take_of_another(amount: int) -> None:
        bucket = Bucket(tenant_id=new_id(), metered="requests", party="tenant", name="", per_minute=60)
        local.take([bucket], amount, may_owe=False)

    for number in range(1000):
        take_of_another(1 + number % 9)
        assert len(local) <= 100
    now = 60.0
    for _ in range(101):
        take_of_another(1)
    assert len(local) <= 51, "what is full again needs not be remembered"
