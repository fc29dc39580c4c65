"""The only writer of a run's events: numbers, publishes at once, leaves storing to others."""

import asyncio

import pytest

from retinue.coordination.base import Batch
from retinue.coordination.memory import MemoryEventLog
from retinue.domain import events as e
from retinue.domain.errors import ProcessLost, StorageFailed
from retinue.domain.ids import START, Position
from retinue.runs import recorder as module
from retinue.runs.event_writer import EventWriter
from retinue.runs.lease import Hold, clock
from retinue.runs.recorder import Recorder
from tests.support.runs import RUN_ID, end_fields
from tests.unit.runs.doubles import DEADLINE


class Notices(EventWriter):
    """A writer that only remembers what it was told."""

    def __init__(self) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self.waiting: list[int] = []

    def notice(self, recorder: Recorder, waiting: int) -> None:  # noqa: ARG002
        self.waiting.append(waiting)


@pytest.fixture
def log() -> MemoryEventLog:
    log = MemoryEventLog()
    log.open(RUN_ID, RUN_ID)
    return log


@pytest.fixture
def writer() -> Notices:
    return Notices()


@pytest.fixture
def recorder(log: MemoryEventLog, writer: Notices) -> Recorder:
    return Recorder(tenant_id=RUN_ID, run_id=RUN_ID, attempt=2, log=log, writer=writer, hold=Hold(60, clock()))


async def take(log: MemoryEventLog, after: Position = START) -> Batch:
    async with asyncio.timeout(DEADLINE), log.tail(RUN_ID, RUN_ID) as tail:
        return await tail.take(after)


def text(seq: int) -> e.TextDelta:
    return e.TextDelta(delta=str(seq))


async def test_events_are_numbered_from_one_without_holes(recorder: Recorder, log: MemoryEventLog) -> None:
    for seq in range(1, 6):
        recorder.record(text(seq))
        assert recorder.event_count == seq
    events = recorder.take_unstored()
    assert [event.position for event in events] == [(2, seq) for seq in range(1, 6)]
    assert [event.event for event in events] == [text(seq) for seq in range(1, 6)]
    assert {event.run_id for event in events} == {RUN_ID}


async def test_events_are_published_before_anything_is_stored(recorder: Recorder, log: MemoryEventLog) -> None:
    recorder.record(text(1))
    recorder.record(text(2))
    batch = await take(log, Position(2, 1))
    assert list(batch.events) == recorder.take_unstored()[1:]


def test_the_writer_hears_how_much_waits(recorder: Recorder, writer: Notices) -> None:
    for seq in (1, 2, 3):
        recorder.record(text(seq))
    recorder.take_unstored()
    recorder.record(text(4))
    assert writer.waiting == [1, 2, 3, 1]


def test_times_are_as_precise_as_they_are_stored(recorder: Recorder) -> None:
    for seq in range(50):
        recorder.record(text(seq))
    assert [event for event in recorder.take_unstored() if event.at.microsecond % 1000] == []


def test_what_is_put_back_comes_first_again(recorder: Recorder) -> None:
    for seq in (1, 2):
        recorder.record(text(seq))
    taken = recorder.take_unstored()
    recorder.record(text(3))
    recorder.put_back(taken)
    assert [event.position.seq for event in recorder.take_unstored()] == [1, 2, 3]
    assert recorder.take_unstored() == []


def test_the_backlog_is_bounded(recorder: Recorder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_UNSTORED", 3)
    for seq in (1, 2, 3):
        recorder.record(text(seq))
    with pytest.raises(StorageFailed):
        recorder.record(text(4))
    assert recorder.event_count == 3, "what was not recorded has no number"
    recorder.take_unstored()
    recorder.record(text(4))
    assert [event.position.seq for event in recorder.take_unstored()] == [4]


async def test_the_end_is_numbered_first_and_told_later(recorder: Recorder, log: MemoryEventLog) -> None:
    recorder.record(text(1))
    async with log.tail(RUN_ID, RUN_ID) as tail:
        terminal = recorder.seal(e.RunCompleted(**end_fields()))
        assert terminal.position == (2, 2)
        assert [event.position for event in recorder.take_unstored()] == [(2, 1)], "whoever stores the end adds it"
        assert [event.position.seq for event in (await tail.take(Position(2, 0))).events] == [1]
        recorder.announce(terminal)
        async with asyncio.timeout(DEADLINE):
            assert list((await tail.take(Position(2, 1))).events) == [terminal]
            assert await tail.take(terminal.position) == Batch(is_closed=True)


async def test_abandoning_breaks_the_tail(recorder: Recorder, log: MemoryEventLog) -> None:
    async with log.tail(RUN_ID, RUN_ID) as tail:
        recorder.abandon()
        async with asyncio.timeout(DEADLINE):
            assert await tail.take(START) == Batch(is_closed=True, is_broken=True)


async def test_without_a_hold_nothing_is_numbered_published_or_stored(
    recorder: Recorder, log: MemoryEventLog, writer: Notices
) -> None:
    recorder.record(text(1))
    recorder.hold.renew(clock() - 61)
    with pytest.raises(ProcessLost):
        recorder.record(text(2))
    assert (recorder.event_count, writer.waiting) == (1, [1])
    assert [event.position for event in recorder.take_unstored()] == [(2, 1)]
    assert [event.position for event in (await take(log, Position(2, 0))).events] == [(2, 1)]
    recorder.hold.renew(clock())
    recorder.record(text(2))
    assert recorder.position == (2, 2)


def test_counting_goes_on_behind_what_is_stored(log: MemoryEventLog, writer: Notices) -> None:
    going_on = Recorder(
        tenant_id=RUN_ID, run_id=RUN_ID, attempt=3, log=log, writer=writer, hold=Hold(60, clock()), seq=2, earlier=7
    )
    assert (going_on.event_count, going_on.position) == (9, (3, 2))
    going_on.record(text(3))
    assert (going_on.event_count, going_on.take_unstored()[0].position) == (10, (3, 3))


def test_the_number_of_an_end_that_was_none_is_given_again(recorder: Recorder) -> None:
    recorder.record(text(1))
    recorder.seal(e.RunCompleted(**end_fields()))
    recorder.unseal()
    recorder.record(text(2))
    assert [event.position for event in recorder.take_unstored()] == [(2, 1), (2, 2)]


@pytest.mark.parametrize("is_stored", [True, False])
async def test_what_was_sealed_is_told_once_and_stored_once(
    recorder: Recorder, log: MemoryEventLog, is_stored: bool
) -> None:
    async with log.tail(RUN_ID, RUN_ID) as tail:
        recorder.record(text(1))
        sealed = [recorder.seal(text(2)), recorder.seal(text(3))]
        recorder.tell(sealed, is_stored=is_stored)
        recorder.record(text(4))
        async with asyncio.timeout(DEADLINE):
            assert [event.position.seq for event in (await tail.take(Position(2, 0))).events] == [1, 2, 3, 4]
    waiting = [event.position.seq for event in recorder.take_unstored()]
    assert waiting == ([1, 4] if is_stored else [1, 2, 3, 4])


async def test_what_was_sealed_is_not_told_by_whoever_may_not_own_the_run(
    recorder: Recorder, log: MemoryEventLog
) -> None:
    recorder.hold.renew(clock() - 61)
    async with log.tail(RUN_ID, RUN_ID) as tail:
        recorder.tell([recorder.seal(text(1))], is_stored=False)
        recorder.leave()
        async with asyncio.timeout(DEADLINE):
            assert await tail.take(Position(2, 0)) == Batch(is_closed=True)
