"""Somebody else writes into our keys: it costs a moment of the run it hits, and nothing else."""

import asyncio
from collections.abc import Callable

import pytest

from retinue.coordination.redis.keys import run_key, wake_key
from retinue.domain.ids import Position
from tests.contract.coordination.across import follow, two_processes, until
from tests.contract.coordination.conftest import TENANT_ID, publish, take
from tests.contract.coordination.streaming import streaming
from tests.support.redis import RedisServer
from tests.support.runs import RUN_ID

pytestmark = pytest.mark.slow

Harm = Callable[[RedisServer, str], None]


def _put_text(server: RedisServer, key: str) -> None:
    with server.client() as client:
        client.set(key, "not a stream")


def _put_far_ahead(server: RedisServer, key: str) -> None:
    with server.client() as client:
        client.xadd(key, {"f": 1, "e": "[]"})  # an id of the server's own: the time


def _put_nonsense(server: RedisServer, key: str) -> None:
    with server.client() as client:
        newest = client.xrevrange(key, count=1)
        assert newest
        attempt, _, seq = str(newest[0][0], "ascii").partition("-")  # type: ignore[arg-type]
        client.xadd(key, {"f": b"\xff", "e": b"\x00{"}, id=f"{attempt}-{int(seq) + 1}")


@pytest.mark.parametrize("harm", [_put_text, _put_far_ahead, _put_nonsense])
async def test_somebody_else_writes_into_the_key(redis_server: RedisServer, harm: Harm) -> None:
    async with streaming(redis_server) as stream:
        harm(redis_server, run_key(TENANT_ID, RUN_ID))
        await stream.is_live()
        assert stream.here.is_healthy


async def test_somebody_else_writes_into_the_keys_that_wake_readers(redis_server: RedisServer) -> None:
    async with streaming(redis_server) as stream:
        with redis_server.client() as client:
            for key in client.keys(wake_key("*")):
                client.set(key, "not a stream")
            await stream.is_live()
            await until(lambda: sum(client.type(key) == b"string" for key in client.keys(wake_key("*"))) < 2)


async def test_nonsense_between_two_entries_is_passed_over(redis_server: RedisServer) -> None:
    async with two_processes(redis_server.url) as (here, there), there.log.tail(TENANT_ID, RUN_ID) as tail:
        here.log.open(TENANT_ID, RUN_ID)
        publish(here.log, 1)
        await follow(tail, Position(1, 1))
        _put_nonsense(redis_server, run_key(TENANT_ID, RUN_ID))
        publish(here.log, 2, 3, 4)
        assert len(await follow(tail, Position(1, 4), Position(1, 1))) == 3


async def test_a_wrong_key_does_not_harm_other_runs(redis_server: RedisServer) -> None:
    async with two_processes(redis_server.url) as (here, there):
        here.log.open(TENANT_ID, RUN_ID)
        foreign = Position(9, 9)
        _put_text(redis_server, run_key(TENANT_ID, TENANT_ID))
        async with there.log.tail(TENANT_ID, TENANT_ID) as harmed, there.log.tail(TENANT_ID, RUN_ID) as tail:
            publish(here.log, *range(1, 21))
            assert len(await follow(tail, Position(1, 20))) == 20
            assert (await take(harmed, foreign)).is_idle
            assert there.is_healthy


async def test_nonsense_at_the_end_is_not_read_over_and_over(redis_server: RedisServer) -> None:
    async with two_processes(redis_server.url) as (here, there), there.log.tail(TENANT_ID, RUN_ID) as tail:
        here.log.open(TENANT_ID, RUN_ID)
        publish(here.log, 1)
        await follow(tail, Position(1, 1))
        _put_nonsense(redis_server, run_key(TENANT_ID, RUN_ID))
        await asyncio.sleep(0.3)
        with redis_server.client() as client:
            assert client.info("commandstats")["cmdstat_xread"]["calls"] < 30
