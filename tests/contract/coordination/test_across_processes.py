"""A run of one process, followed in another."""

import asyncio
import gc
import weakref

import pytest

from retinue.coordination.base import IDLE_SECONDS, Batch
from retinue.coordination.redis.keys import run_key
from retinue.domain import events as e
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position, ms_of, new_id
from tests.contract.coordination.across import follow, process, ready, terminal, two_processes, until, upto
from tests.contract.coordination.conftest import DEADLINE, TENANT_ID, event, publish, seqs, take, waiting
from tests.support.redis import RedisServer
from tests.support.runs import AT, RUN_ID

pytestmark = pytest.mark.slow


async def test_events_come_live_and_the_end_closes(redis_url: str) -> None:
    async with two_processes(redis_url) as (here, there):
        here.log.open(TENANT_ID, RUN_ID)
        async with there.log.tail(TENANT_ID, RUN_ID) as tail:
            await ready(tail)
            follower = asyncio.create_task(follow(tail, Position(1, 51)))
            for seq in range(1, 51):
                publish(here.log, seq)
                await asyncio.sleep(0.001)
            here.log.publish(terminal(51))
            here.log.close(RUN_ID)
            assert await follower == [*upto(50), terminal(51)]
            assert await take(tail, Position(1, 51)) == Batch(is_closed=True)


async def test_an_event_is_there_at_once_when_nothing_else_is_going_on(redis_url: str) -> None:
    async with two_processes(redis_url) as (here, there):
        here.log.open(TENANT_ID, RUN_ID)
        async with there.log.tail(TENANT_ID, RUN_ID) as tail:
            publish(here.log, 1)
            await follow(tail, Position(1, 1))
            loop, took = asyncio.get_running_loop(), []
            for seq in range(2, 32):
                await asyncio.sleep(0.02)
                async with waiting(take(tail, Position(1, seq - 1))) as follower:
                    began = loop.time()
                    publish(here.log, seq)
                    assert seqs(await follower) == [seq]
                    took.append(loop.time() - began)
        assert sorted(took)[15] < 0.05


@pytest.mark.parametrize("seen", [0, 1, 7, 20])
async def test_a_late_joiner_is_given_what_came_before(redis_url: str, seen: int) -> None:
    async with two_processes(redis_url) as (here, there):
        here.log.open(TENANT_ID, RUN_ID)
        publish(here.log, *range(1, 21))
        async with there.log.tail(TENANT_ID, RUN_ID) as tail:
            after = Position(1, seen) if seen else START
            publish(here.log, 21)
            assert await follow(tail, Position(1, 21), after) == upto(21, seen + 1)


async def test_thousands_of_events_in_bursts(redis_url: str) -> None:
    async with two_processes(redis_url) as (here, there):
        here.log.open(TENANT_ID, RUN_ID)
        stored: list[RecordedEvent] = []
        async with there.log.tail(TENANT_ID, RUN_ID) as tail:
            await ready(tail)
            follower = asyncio.create_task(follow(tail, Position(1, 6000), stored=lambda: stored))
            for first in range(1, 6001, 300):
                publish(here.log, *range(first, first + 300))
                stored += upto(first + 299, first)
                await asyncio.sleep(0.002)
            assert await follower == upto(6000)


async def test_who_falls_behind_the_window_is_told_of_the_gap(redis_url: str) -> None:
    async with two_processes(redis_url, window=8) as (here, there):
        here.log.open(TENANT_ID, RUN_ID)
        async with there.log.tail(TENANT_ID, RUN_ID) as tail, there.log.tail(TENANT_ID, RUN_ID) as keen:
            publish(here.log, *range(1, 21))
            assert seqs(Batch(events=await follow(keen, Position(1, 20), Position(1, 15)))) == [16, 17, 18, 19, 20]
            assert await take(tail) == Batch(has_gap=True)


async def test_the_first_question_is_answered_at_once_and_later_ones_in_time(redis_url: str) -> None:
    async with two_processes(redis_url) as (_, there), there.log.tail(TENANT_ID, RUN_ID) as tail:
        loop = asyncio.get_running_loop()
        began = loop.time()
        assert await take(tail) == Batch(is_idle=True)
        assert loop.time() - began < 0.1
        assert await take(tail) == Batch(is_idle=True)
        assert 0.9 * IDLE_SECONDS < loop.time() - began < IDLE_SECONDS + 0.3


async def test_a_new_follower_does_not_wait_for_the_reader_to_come_round(redis_url: str) -> None:
    """The reader is blocked for the sake of another run when the follower comes."""
    other = new_id()
    async with two_processes(redis_url) as (here, there):
        here.log.open(TENANT_ID, RUN_ID)
        publish(here.log, 1)
        async with there.log.tail(TENANT_ID, other):
            await asyncio.sleep(0.05)
            took = []
            for _ in range(5):
                async with there.log.tail(TENANT_ID, RUN_ID) as tail:
                    began = asyncio.get_running_loop().time()
                    await take(tail)
                    assert seqs(await take(tail)) == [1]
                    took.append(asyncio.get_running_loop().time() - began)
        assert sorted(took)[2] < 0.1


async def test_tenants_do_not_hear_each_other(redis_url: str) -> None:
    async with two_processes(redis_url) as (here, there):
        here.log.open(TENANT_ID, RUN_ID)
        async with there.log.tail(new_id(), RUN_ID) as foreign, there.log.tail(TENANT_ID, new_id()) as other:
            async with there.log.tail(TENANT_ID, RUN_ID) as own:
                publish(here.log, 1)
                await follow(own, Position(1, 1))
            assert (await take(foreign)).is_idle
            assert (await take(other)).is_idle


async def test_an_old_attempt_is_never_heard_after_a_new_one(redis_url: str) -> None:
    async with two_processes(redis_url) as (zombie, owner), process(redis_url) as third:
        zombie.log.open(TENANT_ID, RUN_ID)
        publish(zombie.log, 1, 2)
        async with third.log.tail(TENANT_ID, RUN_ID) as tail:
            assert await follow(tail, Position(1, 2)) == upto(2)
            owner.log.open(TENANT_ID, RUN_ID)
            publish(owner.log, 1, attempt=2)
            stored = [event(1, attempt=2)]
            await follow(tail, Position(2, 1), Position(1, 2), lambda: stored)
            async with zombie.log.tail(TENANT_ID, RUN_ID) as beside:
                publish(zombie.log, 3, 4)
                assert seqs(await take(beside, Position(1, 2))) == [3, 4], "it cannot know yet"
                closed = await take(beside, Position(1, 4))
                assert closed == Batch(is_closed=True), "but it soon finds out"
            publish(zombie.log, 5)
            publish(owner.log, 2, attempt=2)
            assert await follow(tail, Position(2, 2), Position(2, 1)) == [event(2, attempt=2)]
            async with zombie.log.tail(TENANT_ID, RUN_ID) as again:
                await follow(again, Position(2, 2), Position(2, 1))


async def test_a_follower_here_goes_on_when_the_run_comes_here(redis_url: str) -> None:
    async with two_processes(redis_url) as (before, here):
        before.log.open(TENANT_ID, RUN_ID)
        publish(before.log, 1, 2)
        async with here.log.tail(TENANT_ID, RUN_ID) as tail:
            await follow(tail, Position(1, 2))
            before.log.close(RUN_ID)
            here.log.open(TENANT_ID, RUN_ID)
            async with waiting(take(tail, Position(1, 2))) as follower:
                publish(here.log, 1, attempt=2)
                assert await follower == Batch(has_gap=True)
            publish(here.log, 2, attempt=2)
            assert seqs(await take(tail, Position(2, 1))) == [2]
            here.log.close(RUN_ID)
            assert await take(tail, Position(2, 2)) == Batch(is_closed=True)


async def test_cancelling_a_take_loses_nothing(redis_url: str) -> None:
    async with two_processes(redis_url) as (here, there):
        here.log.open(TENANT_ID, RUN_ID)
        async with there.log.tail(TENANT_ID, RUN_ID) as tail:
            await ready(tail)
            for seq in range(1, 21):
                async with waiting(take(tail, Position(1, seq - 1) if seq > 1 else START)) as follower:
                    publish(here.log, seq)
                    if seq % 2:
                        await asyncio.sleep(0.002)
                    follower.cancel()
                    await asyncio.gather(follower, return_exceptions=True)
            assert await follow(tail, Position(1, 20)) == upto(20)


class Witness(RecordedEvent, frozen=True, gc=True, weakref=True):
    """An event that can be watched as it goes."""


async def test_a_run_that_nobody_follows_any_more_is_forgotten(
    redis_url: str, shared_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: weakref.WeakSet[Witness] = weakref.WeakSet()

    def watch(payload: bytes, run_id: object, attempt: int, first_seq: int) -> list[Witness]:
        made = [Witness(RUN_ID, attempt, first_seq, ms_of(AT), e.TextDelta(delta="x"))]
        kept.update(made)
        return made

    monkeypatch.setattr("retinue.coordination.redis.entry.unpack", watch)
    async with two_processes(redis_url) as (here, there):
        here.log.open(TENANT_ID, RUN_ID)
        async with there.log.tail(TENANT_ID, RUN_ID) as first:
            async with there.log.tail(TENANT_ID, RUN_ID) as second:
                publish(here.log, 1)
                await follow(second, Position(1, 1))
            publish(here.log, 2)
            await asyncio.sleep(0)
            await follow(first, Position(1, 2), Position(1, 1))
            assert len(kept) == 2
        await until(lambda: gc.collect() >= 0 and not kept)
        publish(here.log, 3)
        await until(lambda: _last_id(shared_redis) == b"1-3")
        await asyncio.sleep(0.05)
        assert not kept


def _last_id(server: RedisServer) -> bytes:
    with server.client() as client:
        newest: list[tuple[bytes, object]] = client.execute_command(  # type: ignore[no-untyped-call]
            "XREVRANGE", run_key(TENANT_ID, RUN_ID), "+", "-"
        )
        return newest[0][0]


async def test_everything_in_redis_expires(redis_url: str, shared_redis: RedisServer) -> None:
    async with two_processes(redis_url) as (here, there):
        here.log.open(TENANT_ID, RUN_ID)
        publish(here.log, 1)
        async with there.log.tail(TENANT_ID, RUN_ID) as tail:
            await follow(tail, Position(1, 1))
        with shared_redis.client() as client:
            key = run_key(TENANT_ID, RUN_ID)
            names = client.keys("*")
            assert key.encode() in names
            assert all(client.pttl(name) > 0 for name in names)
            assert client.pttl(key) > 60_000
            publish(here.log, 2)
            here.log.close(RUN_ID)
            await until(lambda: client.pttl(key) <= 60_000)
            assert client.xlen(key) == 2, "what was published before the close is sent"


async def test_closing_sends_what_waits_and_ends_every_tail(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("retinue.coordination.redis.publisher.PAUSE_SECONDS", 0.2)
    async with two_processes(redis_url) as (here, there), there.log.tail(TENANT_ID, RUN_ID) as tail:
        here.log.open(TENANT_ID, RUN_ID)
        publish(here.log, 1)
        await follow(tail, Position(1, 1))
        publish(here.log, *range(2, 501))
        async with asyncio.timeout(1):
            await here.aclose()
        assert len(await follow(tail, Position(1, 500))) == 500
        async with waiting(take(tail, Position(1, 500))) as follower, asyncio.timeout(DEADLINE):
            await there.aclose()
            assert await follower == Batch(is_closed=True, is_broken=True)
        async with there.log.tail(TENANT_ID, RUN_ID) as late:
            assert await take(late) == Batch(is_closed=True, is_broken=True)
