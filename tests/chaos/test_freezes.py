"""A process is frozen beyond its lease and wakes up: the run has moved on, and it neither writes nor says anything."""

import asyncio
import random
import re
import signal
import time
from collections.abc import Callable
from statistics import median
from typing import Any
from uuid import UUID

import pytest

from tests.chaos.logs import Event, check_log, check_order, counting_text, events_of, stored_log
from tests.chaos.outages import BreakableRedis
from tests.chaos.sizes import SIZES
from tests.chaos.world import LEASE_SECONDS, RECOVERY_SECONDS, begin, followed, hire
from tests.e2e.streams.runs import script
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.store import rows
from tests.e2e.streams.talk import eventually
from tests.support.forking import ForkedServer
from tests.support.sse import EventStream
from tests.support.upstream import Hold, Scenario, Text, ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

LEASE = LEASE_SECONDS

WORDS = 12
TABLES = ("runs", "run_events", "messages", "ledger", "tool_calls")
SETTLED = 1.5
"""The zombie's call is closed and its follower has caught up within so many seconds of its waking."""


async def _snapshot(server: ForkedServer, tenant: UUID) -> dict[str, list[tuple[Any, ...]]]:
    """Every row of the tenant in the tables that runs write to."""
    found = {}
    for table in TABLES:
        found[table] = sorted(await rows(server, f"SELECT * FROM {table} WHERE tenant_id = {{}}", tenant), key=repr)
    return found


def _scenario(gate: str) -> Scenario:
    """Half of the words, a gate, the other half."""
    pieces = tuple(Text(f" w{number}") for number in range(WORDS))
    return Scenario(pieces=(*pieces[: WORDS // 2], Hold(gate), *pieces[WORDS // 2 :]))


async def _until_word(stream: EventStream, count: int) -> None:
    for _ in range(count):
        await stream.until("text.delta")


async def _attempt(server: ForkedServer, run: str) -> int:
    [[attempt]] = await rows(server, "SELECT attempt FROM runs WHERE id = {}", UUID(run))
    return int(attempt)


def _published(redis: BreakableRedis, tenant: UUID, run: str) -> list[bytes] | None:
    """The run's stream in Redis, flattened; None before its end has come there."""
    found = redis.command("XRANGE", f"retinue:{tenant}:run:{run}", "-", "+")
    return found if any(b"run.completed" in entry for entry in found) else None


async def test_a_zombie_does_nothing(
    replicas: Replicas,
    upstream: ThreadedUpstream,
    redis: BreakableRedis,
    rng: random.Random,
    figure: Callable[[str], None],
) -> None:
    takeovers: list[float] = []
    closings: list[float] = []
    for number in range(SIZES.freeze_rounds):
        upstream.reset()
        victim, other = rng.sample(list(replicas), 2)
        try:
            took, closed = await _freeze(victim, other, upstream, redis, f"{number}-{rng.getrandbits(32):x}")
        finally:
            victim.process.send_group(signal.SIGCONT)
        takeovers.append(took)
        closings.append(closed)
    figure(f"taken over after median {median(takeovers):.2f} s, longest {max(takeovers):.2f} s")
    figure(f"zombie's call closed {median(closings) * 1000:.0f} ms after waking, longest {max(closings) * 1000:.0f} ms")


async def _freeze(
    victim: ForkedServer, other: ForkedServer, upstream: ThreadedUpstream, redis: BreakableRedis, gate: str
) -> tuple[float, float]:
    here, there = victim.client(), other.client()
    conversation = await hire(here, upstream)
    async with await begin(here, conversation.id, script(_scenario(gate)), protocol="events") as local:
        await _until_word(local, WORDS // 2)
        run = local.seen[0].json["run_id"]
        async with await followed(there, run) as remote:
            await _until_word(remote, WORDS // 2)
            victim.process.send_group(signal.SIGSTOP)
            frozen_at = time.monotonic()

            async def taken_over() -> int | None:
                attempt = await _attempt(other, run)
                return attempt if attempt > 1 else None

            assert await eventually(taken_over, within=RECOVERY_SECONDS) == 2
            took = time.monotonic() - frozen_at
            # From now on the rest of the first answer waits in the zombie's socket, too.
            upstream.release(gate)
            async with asyncio.timeout(10):
                seen_there = events_of([*remote.seen, *await remote.rest()])

        async def in_redis() -> list[bytes] | None:
            return _published(redis, conversation.tenant_id, run)

        published = await eventually(in_redis, within=5)
        before = await _snapshot(other, conversation.tenant_id)
        assert len(upstream.requests) == 2
        [first, _] = upstream.requests
        assert first.completed_at is not None or not first.was_abandoned
        victim.process.send_group(signal.SIGCONT)
        woken_at = time.monotonic()
        async with asyncio.timeout(SETTLED):
            seen_here = events_of([*local.seen, *await local.rest()])
        closed = time.monotonic() - woken_at
    # It lives: it serves others, and by then it has had every chance to write.
    assert (await here.ask((await hire(here, upstream)).id, "Hello")).end["status"] == "completed"
    log = await stored_log(here, run)
    end = check_log(log)
    assert (end["type"], counting_text(log)) == ("run.completed", _scenario(gate).text)
    _check_reader(seen_there, log)
    _check_reader(seen_here, log)
    assert await _snapshot(other, conversation.tenant_id) == before
    assert _published(redis, conversation.tenant_id, run) == published
    ids = [entry for entry in published if re.fullmatch(rb"\d+-\d+", entry)]
    assert [name.partition(b"-")[0] for name in ids] == sorted(name.partition(b"-")[0] for name in ids)
    return took, closed


def _check_reader(seen: list[Event], log: list[Event]) -> None:
    check_order(seen)
    assert seen[-1] == log[-1]
    assert [event.kind for event in seen].count("attempt.started") == 1
    assert counting_text(seen) == counting_text(log)
    stored = {event.id for event in log}
    # What was told before the freeze may never have been stored; nothing of it is told after the waking.
    lost = [event for event in seen if event.id not in stored]
    assert sum(event.kind == "text.delta" for event in seen if event.place[0] == 1) == WORDS // 2
    assert all(event.place[0] == 1 for event in lost)


async def test_the_call_of_a_zombie_is_closed(
    replicas: Replicas, upstream: ThreadedUpstream, figure: Callable[[str], None]
) -> None:
    """Its provider is silent for ever, so that only the zombie itself can find out that it has lost the run."""
    victim, other = replicas
    here, there = victim.client(), other.client()
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(3).stall(3), tokens(3))
    async with await begin(here, conversation.id, "Hello", protocol="events") as stream:
        await _until_word(stream, 3)
        run = stream.seen[0].json["run_id"]
        victim.process.send_group(signal.SIGSTOP)
        try:
            async with await followed(there, run) as reader, asyncio.timeout(RECOVERY_SECONDS):
                frames = await reader.rest()
        finally:
            victim.process.send_group(signal.SIGCONT)
        woken_at = time.monotonic()
        await asyncio.to_thread(upstream.wait_for_close, 0, within=10)
        closed = upstream.requests[0].closed_at or 0.0
        async with asyncio.timeout(10):
            own = events_of([*stream.seen, *await stream.rest()])
    figure(f"the silent call of a zombie closed {(closed - woken_at) * 1000:.0f} ms after waking")
    log = await stored_log(there, run)
    check_log(log)
    for seen in (events_of(frames), own):
        check_order(seen)
        assert counting_text(seen) == counting_text(log) == tokens(3).text
    assert closed - woken_at < 2.0
    assert len(upstream.requests) == 2
