"""Many runs, many followers, one connection to read them all; on either event loop."""

import asyncio
from collections.abc import Callable
from uuid import UUID

import pytest
import uvloop

from retinue.domain.ids import Position, new_id
from tests.contract.coordination.across import follow, two_processes, until, upto
from tests.contract.coordination.conftest import TENANT_ID, publish
from tests.contract.coordination.streaming import streaming
from tests.support.redis import RedisServer

pytestmark = pytest.mark.slow

RUNS = 200
EVENTS = 20


def _clients(server: RedisServer) -> list[str]:
    with server.client() as client:
        return sorted(str(each["cmd"]) for each in client.client_list() if each["cmd"] != "client")


async def test_two_hundred_followed_runs_need_one_reader(redis_url: str, shared_redis: RedisServer) -> None:
    runs = [new_id() for _ in range(RUNS)]
    others = _clients(shared_redis)
    async with two_processes(redis_url) as (here, there):
        await until(lambda: len(_clients(shared_redis)) - len(others) == 8)
        before = _clients(shared_redis)

        async def follow_one(run_id: UUID) -> int:
            async with there.log.tail(TENANT_ID, run_id) as tail:
                return len(await follow(tail, Position(1, EVENTS)))

        followers = [asyncio.create_task(follow_one(run_id)) for run_id in runs for _ in range(2)]
        for run_id in runs:
            here.log.open(TENANT_ID, run_id)
        for seq in range(1, EVENTS + 1):
            for run_id in runs:
                publish(here.log, seq, run_id=run_id)
            await asyncio.sleep(0.001)
        assert await asyncio.gather(*followers) == [EVENTS] * len(followers)
        assert len(_clients(shared_redis)) == len(before), "a publisher, a reader, a subscriber and a decider each"
        await until(lambda: _clients(shared_redis).count("xread") <= others.count("xread") + 1)


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_both_event_loops(redis_server: RedisServer, make_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    run_id = new_id()

    async def work() -> None:
        async with two_processes(redis_server.url) as (here, there), there.log.tail(TENANT_ID, run_id) as tail:
            here.log.open(TENANT_ID, run_id)
            publish(here.log, *range(1, 1001), run_id=run_id)
            came = await follow(tail, Position(1, 1000))
            assert [event.event for event in came] == [event.event for event in upto(1000)]
        async with streaming(redis_server) as stream:
            redis_server.kill()
            await asyncio.to_thread(redis_server.start)
            await stream.is_live()
            await until(lambda: stream.here.is_healthy)
            redis_server.pause()
            await until(lambda: not stream.here.is_healthy)
            redis_server.resume()
            await stream.is_live()

    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(work())
