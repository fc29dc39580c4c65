"""Whatever happens to Redis: nothing is raised, nothing is told wrong, nobody waits long, it comes back."""

import asyncio

import pytest
from structlog.testing import capture_logs

from retinue.coordination.base import Batch
from retinue.coordination.redis import RedisCoordination
from retinue.domain.ids import Position
from retinue.domain.signals import Signal, SignalKind
from tests.contract.coordination.across import follow, process, two_processes, until
from tests.contract.coordination.conftest import DEADLINE, TENANT_ID, event, publish, seqs, take, waiting
from tests.contract.coordination.streaming import streaming
from tests.support.processes import free_port
from tests.support.redis import RedisServer, running_redis
from tests.support.runs import RUN_ID

pytestmark = pytest.mark.slow


async def test_killed_and_started_again(redis_server: RedisServer) -> None:
    async with streaming(redis_server) as stream:
        redis_server.kill()
        before = len(stream.came)
        await until(lambda: len(stream.came) > before + 300)
        await asyncio.to_thread(redis_server.start)
        await stream.is_live()


async def test_killed_and_at_once_there_again(redis_server: RedisServer) -> None:
    async with streaming(redis_server) as stream:
        redis_server.kill()
        await asyncio.to_thread(redis_server.start)
        await stream.is_live()


async def test_silent_and_then_not_any_more(redis_server: RedisServer) -> None:
    async with streaming(redis_server) as stream:
        redis_server.pause()
        before = len(stream.came)
        await until(lambda: len(stream.came) > before + 500)
        await until(lambda: not stream.here.is_healthy)
        redis_server.resume()
        await stream.is_live()
        await until(lambda: stream.here.is_healthy)


async def test_emptied(redis_server: RedisServer) -> None:
    async with streaming(redis_server) as stream:
        with redis_server.client() as client:
            for _ in range(5):
                client.flushall()
                await stream.is_live()


@pytest.mark.parametrize("milliseconds", [300, 1500])
async def test_slow(redis_server: RedisServer, milliseconds: int) -> None:
    async with streaming(redis_server) as stream:
        with redis_server.client() as client:
            client.client_pause(milliseconds)
        await stream.is_live()


async def test_its_connections_are_cut(redis_server: RedisServer) -> None:
    async with streaming(redis_server) as stream:
        with redis_server.client() as client:
            for _ in range(5):
                client.client_kill_filter(skipme=True, _type="normal")
                client.client_kill_filter(skipme=True, _type="pubsub")
                await stream.is_live()


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0")),
        (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
    ],
    ids=["full", "only a replica"],
)
async def test_it_takes_nothing(redis_server: RedisServer, begin: tuple[str, ...], end: tuple[str, ...]) -> None:
    async with streaming(redis_server) as stream:
        with redis_server.client() as client:
            client.execute_command(*begin)  # type: ignore[no-untyped-call]
            await until(lambda: not stream.here.is_healthy)
            before = len(stream.came)
            await until(lambda: len(stream.came) > before + 300)
            client.execute_command(*end)  # type: ignore[no-untyped-call]
        await stream.is_live()
        await until(lambda: stream.here.is_healthy)


async def test_never_there() -> None:
    """Local followers and handlers need no server."""
    heard: list[Signal] = []
    async with process(f"redis://127.0.0.1:{free_port()}/0", connected=False) as here:
        here.signals.subscribe(heard.append)
        here.signals.send(Signal(SignalKind.QUEUE, TENANT_ID, RUN_ID))
        here.log.open(TENANT_ID, RUN_ID)
        async with here.log.tail(TENANT_ID, RUN_ID) as tail, here.log.tail(TENANT_ID, TENANT_ID) as other:
            async with waiting(take(tail)) as follower:
                publish(here.log, 1)
                assert seqs(await follower) == [1]
            assert (await take(other)).is_idle
        assert len(heard) == 1
        assert not here.is_healthy
        loop = asyncio.get_running_loop()
        began = loop.time()
        await here.aclose()
        assert loop.time() - began < 1


async def test_closing_is_bounded_when_it_is_silent(redis_server: RedisServer) -> None:
    async with process(redis_server.url) as here:
        here.log.open(TENANT_ID, RUN_ID)
        redis_server.pause()
        publish(here.log, 1)
        loop = asyncio.get_running_loop()
        began = loop.time()
        await here.aclose()
        assert loop.time() - began < 1
        redis_server.resume()


async def test_not_begun_and_closed_twice() -> None:
    coordination = RedisCoordination("redis://127.0.0.1:1/0", process="tests")
    coordination.log.open(TENANT_ID, RUN_ID)
    publish(coordination.log, 1)
    await coordination.aclose()
    await coordination.aclose()


async def test_a_long_absence_costs_little(redis_server: RedisServer) -> None:
    """What waits is bounded in number."""
    async with process(redis_server.url) as here:
        redis_server.kill()
        here.log.open(TENANT_ID, RUN_ID)
        publish(here.log, *range(1, 20_001))
        assert here._publisher.outbox._count <= 8192
        await until(lambda: here._publisher.outbox.is_empty)


async def test_what_is_too_old_is_not_sent_any_more(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retinue.coordination.redis.outbox.MAX_AGE", 0.2)
    async with two_processes(redis_server.url) as (here, there):
        redis_server.kill()
        here.log.open(TENANT_ID, RUN_ID)
        publish(here.log, 1)
        await until(lambda: not here.is_healthy)
        await asyncio.sleep(0.3)
        await asyncio.to_thread(redis_server.start)
        await until(lambda: here.is_healthy and there.is_healthy)
        publish(here.log, 2)
        async with there.log.tail(TENANT_ID, RUN_ID) as tail:
            assert await follow(tail, Position(1, 2), Position(1, 1)) == [event(2)]
            assert await take(tail) == Batch(has_gap=True)


async def test_a_short_absence_loses_nothing(redis_server: RedisServer) -> None:
    async with two_processes(redis_server.url) as (here, there), there.log.tail(TENANT_ID, RUN_ID) as tail:
        here.log.open(TENANT_ID, RUN_ID)
        redis_server.kill()
        publish(here.log, *range(1, 11))
        await until(lambda: not here.is_healthy)
        publish(here.log, *range(11, 21))
        await asyncio.to_thread(redis_server.start)
        assert len(await follow(tail, Position(1, 20))) == 20


async def test_silence_is_noticed_though_nothing_is_to_be_said(redis_server: RedisServer) -> None:
    async with process(redis_server.url) as here:
        redis_server.pause()
        await until(lambda: not here.is_healthy)
        redis_server.resume()
        await until(lambda: here.is_healthy)


async def test_one_line_per_change_and_never_the_password() -> None:
    with running_redis("--requirepass", "s3cret-word") as server, capture_logs() as lines:
        url = server.url.replace("//", "//:s3cret-word@")
        async with process(url) as here:
            for _ in range(2):
                server.kill()
                await until(lambda: not here.is_healthy)
                await asyncio.sleep(1)
                await asyncio.to_thread(server.start)
                await until(lambda: here.is_healthy)
        async with process(url.replace("word", "wrong"), connected=False):
            await until(lambda: len([line for line in lines if line["event"].startswith("coordination")]) > 5)
    assert "s3cret" not in str(lines)
    lines = [line for line in lines if line["event"].startswith("coordination")]
    told = [line["event"] for line in lines]
    assert told == ["coordination_connected", *["coordination_lost", "coordination_connected"] * 2, "coordination_lost"]
    assert lines[-1]["reason"] == "AuthenticationError"


async def test_signals_are_heard_again_afterwards(redis_server: RedisServer) -> None:
    heard: list[Signal] = []
    async with two_processes(redis_server.url) as (here, there):
        there.signals.subscribe(heard.append)
        redis_server.kill()
        here.signals.send(Signal(SignalKind.CANCEL, TENANT_ID, RUN_ID))  # lost, or not
        await until(lambda: not there.is_healthy)
        await asyncio.to_thread(redis_server.start)
        await until(lambda: here.is_healthy and there.is_healthy)
        heard.clear()
        sent = Signal(SignalKind.QUEUE, TENANT_ID, RUN_ID)
        here.signals.send(sent)
        await until(lambda: sent in heard)


async def test_few_rights_are_enough(redis_server: RedisServer) -> None:
    """What an operator has to allow; all of it on keys and channels of our own."""
    with redis_server.client() as client:
        words = "ACL SETUSER app on >pass resetchannels ~retinue:* &retinue:* -@all"
        rights = "+ping +xadd +xread +xrevrange +pexpire +del +publish +subscribe"
        client.execute_command(*words.split(), *rights.split())  # type: ignore[no-untyped-call]
    url = redis_server.url.replace("//", "//app:pass@")
    heard: list[Signal] = []
    async with two_processes(url) as (here, there):
        there.signals.subscribe(heard.append)
        here.log.open(TENANT_ID, RUN_ID)
        async with there.log.tail(TENANT_ID, RUN_ID) as tail:
            publish(here.log, 1, 2)
            await follow(tail, Position(1, 2))
        here.signals.send(Signal(SignalKind.CANCEL, TENANT_ID, RUN_ID))
        await until(lambda: heard)
        async with asyncio.timeout(DEADLINE):
            await here.aclose()
