"""Slow followers cost a publisher nothing, and memory is bounded by the window."""

import asyncio
import gc
import weakref

from retinue.coordination.base import Batch, EventLog
from retinue.domain import events as e
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import Position, ms_of
from tests.contract.coordination.conftest import DEADLINE, TENANT_ID, WINDOW, publish, read_to_the_end, seqs, take
from tests.support.runs import AT, RUN_ID

MANY = 100 * WINDOW


class Witness(RecordedEvent, frozen=True, gc=True, weakref=True):
    """An event that can be watched as it goes."""


async def test_a_follower_that_never_reads_stops_nobody(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as stuck, log.tail(TENANT_ID, RUN_ID) as keen:
        assert stuck is not keen
        seen = 0
        for first in range(1, MANY, WINDOW):
            publish(log, *range(first, first + WINDOW))
            batch = await take(keen, Position(1, seen) if seen else Position(0, 0))
            assert seqs(batch) == list(range(seen + 1, first + WINDOW))
            seen = first + WINDOW - 1
        assert await take(stuck) == Batch(has_gap=True)


async def test_publishing_gives_nobody_else_a_turn(log: EventLog) -> None:
    """A publisher that waited, for whatever, would let other tasks run meanwhile."""
    log.open(TENANT_ID, RUN_ID)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async with log.tail(TENANT_ID, RUN_ID) as tail:
        counter, follower = asyncio.create_task(count_turns()), asyncio.create_task(read_to_the_end(tail))
        await asyncio.sleep(0)
        before = turns
        publish(log, *range(1, MANY))
        assert turns == before
        counter.cancel()
        follower.cancel()
        await asyncio.gather(counter, follower, return_exceptions=True)


def _publish_witness(log: EventLog, seq: int) -> Witness:
    witness = Witness(RUN_ID, 1, seq, ms_of(AT), e.TextDelta(delta=f"{seq}"))
    log.publish(witness)
    return witness


async def _until_at_most(kept: weakref.WeakSet[Witness], number: int) -> None:
    """What is on its way to other processes is kept for a moment more."""
    async with asyncio.timeout(DEADLINE):
        while gc.collect() >= 0 and len(kept) > number:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_what_left_the_window_is_forgotten(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    published: weakref.WeakSet[Witness] = weakref.WeakSet()
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        for seq in range(1, MANY):
            published.add(_publish_witness(log, seq))
        await _until_at_most(published, WINDOW)
        log.close(RUN_ID)
        assert len((await read_to_the_end(tail, Position(1, MANY - 2))).events) == 1
    await _until_at_most(published, 0)  # a closed run without followers keeps nothing
