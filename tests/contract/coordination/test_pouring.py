"""Events that are given to a sink as they come, instead of being taken."""

import asyncio
from collections.abc import Sequence
from uuid import UUID

import pytest

from retinue.coordination.base import IDLE_SECONDS, Batch, EventLog, Sink, Tail
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position
from tests.contract.coordination.across import ready, two_processes, until
from tests.contract.coordination.conftest import DEADLINE, TENANT_ID, WINDOW, event, publish, seqs, take, waiting
from tests.support.runs import RUN_ID

CLOSED = Batch(is_closed=True)


class Poured:
    """A sink that remembers what it was given, piece by piece, and takes no more than it should."""

    def __init__(self, most: int = 1_000) -> None:
        self.pieces: list[list[int]] = []
        self._most = most

    def __call__(self, events: Sequence[RecordedEvent]) -> bool:
        if len(self.pieces) == self._most:
            return False
        self.pieces.append([event.position.seq for event in events])
        return True


async def pour(tail: Tail, sink: Sink, after: Position = START) -> Batch:
    async with asyncio.timeout(DEADLINE):
        return await tail.pour(after, sink)


async def test_what_is_there_and_what_comes_is_poured_in_order(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    publish(log, 1, 2)
    poured = Poured()
    async with log.tail(TENANT_ID, RUN_ID) as tail, waiting(pour(tail, poured, Position(1, 1))) as follower:
        publish(log, 3)
        await until(lambda: len(poured.pieces) == 2)
        publish(log, 4, 5)
        await until(lambda: len(poured.pieces) == 3)
        log.close(RUN_ID)
        assert await follower == CLOSED
    assert poured.pieces == [[2], [3], [4, 5]], "what is published together comes together"


async def test_what_is_urgent_is_poured_at_once_behind_what_waits(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    poured = Poured()
    async with log.tail(TENANT_ID, RUN_ID) as tail, waiting(pour(tail, poured)) as follower:
        publish(log, 1)
        assert poured.pieces == []
        log.publish(event(2), event(3), at_once=True)
        assert poured.pieces == [[1, 2, 3]], "nobody had a turn in between"
        publish(log, 4)
        log.close(RUN_ID)
        assert await follower == CLOSED
    assert poured.pieces == [[1, 2, 3], [4]]


async def test_a_sink_that_fails_over_what_is_urgent_troubles_its_reader_alone(log: EventLog) -> None:
    def fail(_: Sequence[RecordedEvent]) -> bool:
        raise ZeroDivisionError

    log.open(TENANT_ID, RUN_ID)
    poured = Poured()
    async with (
        log.tail(TENANT_ID, RUN_ID) as one,
        log.tail(TENANT_ID, RUN_ID) as other,
        waiting(pour(one, fail)) as failing,
        waiting(pour(other, poured)),
    ):
        log.publish(event(1), at_once=True)
        with pytest.raises(ZeroDivisionError):
            await failing
    assert poured.pieces == [[1]]


async def test_nothing_published_is_nothing(log: EventLog) -> None:
    log.publish()
    log.publish(at_once=True)


async def test_the_end_comes_after_what_was_published_before_it(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    poured = Poured()
    async with log.tail(TENANT_ID, RUN_ID) as tail, waiting(pour(tail, poured)) as follower:
        publish(log, 1)
        log.close(RUN_ID, broken=True)
        assert await follower == Batch(is_closed=True, is_broken=True)
    assert poured.pieces == [[1]]


async def test_what_is_refused_is_returned_and_nothing_is_lost(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as tail:
        async with waiting(pour(tail, Poured(most=1))) as follower:
            publish(log, 1)
            await asyncio.sleep(0)
            publish(log, 2, 3)
            assert seqs(await follower) == [2, 3]
        publish(log, 4)
        poured = Poured()
        async with waiting(pour(tail, poured, Position(1, 3))):
            assert poured.pieces == [[4]]


async def test_a_sink_that_fails_fails_whoever_reads(log: EventLog) -> None:
    def fail(_: Sequence[RecordedEvent]) -> bool:
        raise ZeroDivisionError

    log.open(TENANT_ID, RUN_ID)
    async with log.tail(TENANT_ID, RUN_ID) as tail, waiting(pour(tail, fail)) as follower:
        publish(log, 1)
        with pytest.raises(ZeroDivisionError):
            await follower


async def test_nothing_is_poured_for_one_who_has_gone(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    poured = Poured()
    async with log.tail(TENANT_ID, RUN_ID) as tail, waiting(pour(tail, poured)) as follower:
        publish(log, 1)
        follower.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert follower.cancelled()
        publish(log, 2)
        await asyncio.sleep(0)
    assert poured.pieces == []


async def test_one_who_falls_out_of_the_window_is_told(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    poured = Poured()
    async with log.tail(TENANT_ID, RUN_ID) as tail, waiting(pour(tail, poured)) as follower:
        publish(log, *range(1, WINDOW + 3))
        assert (await follower).has_gap
    assert poured.pieces == []


async def test_every_follower_has_a_sink_of_its_own(log: EventLog) -> None:
    log.open(TENANT_ID, RUN_ID)
    first, second = Poured(), Poured(most=0)
    async with (
        log.tail(TENANT_ID, RUN_ID) as one,
        log.tail(TENANT_ID, RUN_ID) as other,
        waiting(pour(one, first)),
        waiting(pour(other, second)) as refusing,
        waiting(take(one)) as taking,
    ):
        publish(log, 1)
        assert seqs(await refusing) == seqs(await taking) == [1]
        publish(log, 2)
        await until(lambda: first.pieces == [[1], [2]])


class Plain(Tail):
    """A tail that can do no more than every one must."""

    def __init__(self, *batches: Batch) -> None:
        self._batches = list(batches)
        self.asked: list[Position] = []

    async def take(self, after: Position) -> Batch:
        self.asked.append(after)
        return self._batches.pop(0)

    async def __aenter__(self) -> "Plain":
        return self

    async def __aexit__(self, *exc: object) -> None:
        pass


async def test_any_tail_can_be_poured() -> None:
    poured = Poured()
    async with Plain(Batch(events=[event(1), event(2)]), Batch(events=[event(3)]), CLOSED) as tail:
        assert await pour(tail, poured) == CLOSED
        assert tail.asked == [START, Position(1, 2), Position(1, 3)]
    assert poured.pieces == [[1, 2], [3]]


@pytest.mark.slow
async def test_a_run_of_another_process_is_poured_and_silence_told(redis_url: str) -> None:
    async with two_processes(redis_url) as (here, there):
        here.log.open(TENANT_ID, RUN_ID)
        async with there.log.tail(TENANT_ID, RUN_ID) as tail:
            await ready(tail)
            poured = Poured()
            async with waiting(pour(tail, poured)) as follower:
                for seq in range(1, 21):
                    publish(here.log, seq)
                    await asyncio.sleep(IDLE_SECONDS / 15)
                await until(lambda: [seq for piece in poured.pieces for seq in piece] == list(range(1, 21)))
                assert not follower.done(), "somebody who is given something is not left alone"
                began = asyncio.get_running_loop().time()
                assert await follower == Batch(is_idle=True)
                assert asyncio.get_running_loop().time() - began < 2 * IDLE_SECONDS


async def test_the_first_look_at_another_process_waits_for_nothing(redis_url: str) -> None:
    other = UUID(int=RUN_ID.int + 1)
    async with two_processes(redis_url) as (_, there), there.log.tail(TENANT_ID, other) as tail:
        assert await pour(tail, Poured()) == Batch(is_idle=True)
