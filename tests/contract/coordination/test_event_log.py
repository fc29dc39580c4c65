"""Order, loss and blocking of live tails, as `coordination.base` states them."""

import asyncio
from uuid import UUID

import pytest

from retinue.coordination.base import Batch, Coordination, EventLog
from retinue.domain.ids import START, Position, new_id
from tests.contract.coordination.conftest import (
    DEADLINE,
    TENANT_ID,
    WINDOW,
    event,
    publish,
    read_to_the_end,
    read_until,
    seqs,
    take,
    waiting,
)
from tests.support.runs import RUN_ID

CLOSED = Batch(is_closed=True)
BROKEN = Batch(is_closed=True, is_broken=True)


async def test_events_come_in_order_and_complete(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        publish(log, *range(1, 6))
        batch = await read_until(tail, lambda came: len(came) == 5)
    assert list(batch.events) == [event(seq) for seq in range(1, 6)]


@pytest.mark.parametrize("seen", range(6))
async def test_replay_begins_behind_any_position(log: EventLog, seen: int) -> None:
    log.open(TENANT_ID, RUN_ID)
    publish(log, *range(1, 7))
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        batch = await read_until(tail, lambda came: came[-1].position.seq == 6, Position(1, seen) if seen else START)
    assert seqs(batch) == list(range(seen + 1, 7))


async def test_a_follower_waits_for_what_it_has_not_seen(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    publish(log, 1)
    async with log.tail(TENANT_ID, RUN_ID) as tail, waiting(take(tail, Position(1, 1))) as follower:
        publish(log, 2)
        assert seqs(await follower) == [2]


async def test_one_wake_up_brings_everything_that_waits(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as tail, waiting(take(tail)) as follower:
        publish(log, 1, 2, 3)
        assert seqs(await follower) == [1, 2, 3]


async def test_followers_from_different_positions_do_not_mind_each_other(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    publish(log, 1, 2, 3)
    async with (
        log.tail(TENANT_ID, RUN_ID) as first,
        log.tail(TENANT_ID, RUN_ID) as second,
        log.tail(TENANT_ID, RUN_ID) as third,
    ):
        early = asyncio.create_task(read_to_the_end(first))
        middle = asyncio.create_task(read_to_the_end(second, Position(1, 2)))
        late = asyncio.create_task(read_to_the_end(third, Position(1, 3)))
        await asyncio.sleep(0)
        publish(log, 4, 5)
        log.close(RUN_ID)
        async with asyncio.timeout(DEADLINE):
            batches = await asyncio.gather(early, middle, late)
    assert [seqs(batch) for batch in batches] == [[1, 2, 3, 4, 5], [3, 4, 5], [4, 5]]
    assert all(batch.is_closed and not batch.is_broken for batch in batches)


async def test_runs_do_not_mix(log: EventLog) -> None:
    other = new_id()
    log.open(TENANT_ID, RUN_ID)
    log.open(TENANT_ID, other)
    publish(log, 1, 2, run_id=other)
    publish(log, 1)
    log.close(other)
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        batch = await take(tail)
        assert list(batch.events) == [event(1)]
        async with waiting(take(tail, Position(1, 1))) as follower:
            publish(log, 2)
            assert seqs(await follower) == [2]


async def test_tenants_do_not_hear_each_other(log: EventLog) -> None:
    """The ids of a run are no secret; who may read it depends on the tenant."""
    log.open(TENANT_ID, RUN_ID)
    publish(log, 1)
    async with log.tail(new_id(), RUN_ID) as foreign:
        assert not (await take(foreign)).events
    async with log.tail(TENANT_ID, RUN_ID) as own:
        assert seqs(await take(own)) == [1]


async def test_a_follower_behind_the_window_is_told_of_the_gap(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    publish(log, *range(1, WINDOW + 3))  # 1 and 2 are gone
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        assert await take(tail) == Batch(has_gap=True)
        assert await take(tail, Position(1, 1)) == Batch(has_gap=True)
        assert seqs(await take(tail, Position(1, 2))) == list(range(3, WINDOW + 3))
        assert seqs(await take(tail, Position(1, 3))) == list(range(4, WINDOW + 3))


async def test_a_full_window_has_no_gap(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    publish(log, *range(1, WINDOW + 1))
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        assert seqs(await take(tail)) == list(range(1, WINDOW + 1))


async def test_a_waiting_follower_can_fall_behind_the_window_too(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    publish(log, 1)
    async with log.tail(TENANT_ID, RUN_ID) as tail, waiting(take(tail, Position(1, 1))) as follower:
        publish(log, *range(2, WINDOW + 4))
        assert await follower == Batch(has_gap=True)


async def test_a_later_attempt_does_not_hide_what_came_between(log: EventLog) -> None:
    """Only the database knows how many events the attempt before had."""
    log.open(TENANT_ID, RUN_ID)
    publish(log, 1, 2, attempt=2)
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        assert await take(tail, Position(1, 9)) == Batch(has_gap=True)
        assert await take(tail) == Batch(has_gap=True)
        assert seqs(await take(tail, Position(2, 1))) == [2]


async def test_publishing_before_open_or_after_close_does_nothing(log: EventLog) -> None:
    publish(log, 1)
    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        publish(log, 2)
        log.close(RUN_ID)
        publish(log, 3)
        assert await take(tail) == Batch(has_gap=True, is_closed=True), "2 is all there is, and 1 is not part of it"
        assert await take(tail, Position(1, 2)) == CLOSED


async def test_closing_twice_or_without_open_does_nothing(log: EventLog) -> None:
    log.close(RUN_ID)
    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        log.close(RUN_ID)
        log.close(RUN_ID, broken=True)
        assert await take(tail) == CLOSED


async def test_a_run_that_goes_live_again_lets_its_earlier_followers_go(log: EventLog) -> None:
    """They come again; none of them waits for what will never come."""
    log.open(TENANT_ID, RUN_ID)
    publish(log, 1)
    async with log.tail(TENANT_ID, RUN_ID) as earlier, waiting(take(earlier, Position(1, 1))) as follower:
        log.open(TENANT_ID, RUN_ID)
        assert await follower == CLOSED
    async with log.tail(TENANT_ID, RUN_ID) as later:
        publish(log, 1, attempt=2)
        publish(log, 2, attempt=2)
        assert seqs(await take(later, Position(2, 1))) == [2]


async def test_an_earlier_attempt_is_not_heard_after_a_later_one(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        publish(log, 1, 2)
        publish(log, 1, 2, attempt=2)
        publish(log, 3)
        assert await take(tail, Position(1, 2)) == Batch(has_gap=True), "only the database knows how the first ended"
        assert [e.id for e in (await take(tail, Position(2, 1))).events] == [event(2, 2).id]
        log.close(RUN_ID)
        assert await take(tail, Position(2, 2)) == CLOSED


async def test_a_hole_is_told_and_never_skipped(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        publish(log, 1, 2, 5, 6)
        assert await take(tail) == Batch(has_gap=True)
        assert await take(tail, Position(1, 3)) == Batch(has_gap=True)
        assert seqs(await take(tail, Position(1, 4))) == [5, 6]


@pytest.mark.parametrize("broken", [False, True])
async def test_who_entered_before_the_close_still_gets_everything(log: EventLog, broken: bool) -> None:
    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        publish(log, 1, 2, 3)
        log.close(RUN_ID, broken=broken)
        batch = await read_to_the_end(tail, Position(1, 1))
        assert seqs(batch) == [2, 3]
        assert await take(tail, Position(1, 3)) == (BROKEN if broken else CLOSED)
        assert await take(tail, Position(1, 3)) == (BROKEN if broken else CLOSED), "and again, as often as asked"


@pytest.mark.parametrize("broken", [False, True])
async def test_closing_wakes_who_waits(log: EventLog, broken: bool) -> None:
    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as tail, waiting(take(tail)) as follower:
        log.close(RUN_ID, broken=broken)
        assert await follower == (BROKEN if broken else CLOSED)


async def test_a_closed_window_with_a_gap_tells_the_gap_first(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        publish(log, *range(1, WINDOW + 3))
        log.close(RUN_ID)
        assert await take(tail, Position(1, 1)) == Batch(has_gap=True, is_closed=True)
        assert seqs(await read_to_the_end(tail, Position(1, WINDOW))) == [WINDOW + 1, WINDOW + 2]


async def test_cancelling_a_take_loses_nothing(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        async with waiting(take(tail)):
            pass
        publish(log, 1)
        async with waiting(take(tail, Position(1, 1))) as follower:
            publish(log, 2)
            follower.cancel()  # woken up and cancelled at the same moment
            await asyncio.gather(follower, return_exceptions=True)
        publish(log, 3)
        log.close(RUN_ID)
        assert seqs(await read_to_the_end(tail)) == [1, 2, 3]


async def test_the_end_of_the_process_breaks_every_tail(coordination: Coordination) -> None:
    log = coordination.log
    runs: list[UUID] = [new_id() for _ in range(3)]
    for run_id in runs:
        log.open(TENANT_ID, run_id)
    async with (
        log.tail(TENANT_ID, runs[0]) as first,
        log.tail(TENANT_ID, runs[2]) as last,
        waiting(take(first)) as follower,
    ):
        async with asyncio.timeout(DEADLINE):
            await coordination.aclose()
        assert await follower == BROKEN
        assert await take(last) == BROKEN


async def test_a_broken_window_with_a_gap_tells_both(log: EventLog) -> None:
    """What the window lost may be in the database; what is not there never will be."""
    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        publish(log, *range(1, WINDOW + 3))
        log.close(RUN_ID, broken=True)
        assert await take(tail, Position(1, 1)) == Batch(has_gap=True, is_closed=True, is_broken=True)
