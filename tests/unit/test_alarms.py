"""Alarms that share one timer, on both event loops."""

import asyncio
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from retinue import alarms
from retinue.alarms import Alarm, Until
from tests.support.loops import Run

SOON = 0.002
LATER = 0.02
NEVER = 1000.0


class Bell(Alarm):
    """Tells when it rang, and then does what a test says."""

    def __init__(self, rung: list["Bell"], then: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self._rung, self._then = rung, then
        self.has_rung = asyncio.Event()
        self.rang_at = 0.0

    def ring(self) -> None:
        self._rung.append(self)
        self.rang_at = asyncio.get_running_loop().time()
        self.has_rung.set()
        self._then()


async def heard(bell: Bell) -> None:
    async with asyncio.timeout(5):
        await bell.has_rung.wait()


def test_they_ring_in_the_order_of_their_times_and_never_early(run: Run) -> None:
    async def main() -> None:
        rung: list[Bell] = []
        bells = [Bell(rung) for _ in range(5)]
        now = asyncio.get_running_loop().time()
        times = [now + LATER * number for number in (5, 1, 3, 2, 4)]
        for bell, at in zip(bells, times, strict=True):
            bell.set(at)
        await heard(bells[0])
        assert rung == sorted(bells, key=lambda bell: bell.rang_at)
        assert rung == [bell for _, bell in sorted(zip(times, bells, strict=True), key=lambda pair: pair[0])]
        assert all(bell.rang_at >= at for bell, at in zip(bells, times, strict=True))
        assert all(bell.at is None for bell in bells)

    run(main())


def test_one_that_is_set_later_and_earlier_does_not_wait_for_the_others(run: Run) -> None:
    async def main() -> None:
        rung: list[Bell] = []
        late, soon = Bell(rung), Bell(rung)
        late.set_in(NEVER)
        soon.set_in(SOON)
        await heard(soon)
        assert rung == [soon]
        late.turn_off()

    run(main())


def test_what_is_turned_off_or_set_anew_does_not_ring_at_its_old_time(run: Run) -> None:
    async def main() -> None:
        rung: list[Bell] = []
        off, moved, last = Bell(rung), Bell(rung), Bell(rung)
        for bell in (off, moved):
            bell.set_in(SOON)
        off.turn_off()
        off.turn_off()
        moved.set_in(LATER)
        last.set_in(2 * LATER)
        assert off.at is None
        await heard(last)
        assert rung == [moved, last]

    run(main())


def test_one_may_turn_off_another_of_the_same_moment(run: Run) -> None:
    async def main() -> None:
        rung: list[Bell] = []
        second, third = Bell(rung), Bell(rung)
        first = Bell(rung, then=second.turn_off)
        at = asyncio.get_running_loop().time() + SOON
        for bell in (first, second, third):
            bell.set(at)
        await heard(third)
        assert rung == [first, third]

    run(main())


def test_one_may_set_itself_anew(run: Run) -> None:
    async def main() -> None:
        rung: list[Bell] = []
        bell = Bell(rung, then=lambda: bell.set_in(SOON) if len(rung) < 3 else last.set_in(SOON))
        last = Bell(rung)
        bell.set_in(SOON)
        await heard(last)
        assert rung == [bell, bell, bell, last]

    run(main())


def test_one_that_fails_does_not_silence_the_others(run: Run) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    async def main() -> None:
        told: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
        bad, good = Bell([], then=fail), Bell([])
        at = asyncio.get_running_loop().time() + SOON
        bad.set(at)
        good.set(at)
        await heard(good)
        assert [type(context["exception"]) for context in told] == [ZeroDivisionError]

    run(main())


def test_what_is_turned_off_is_kept_by_nobody(run: Run) -> None:
    async def main() -> None:
        bell = Bell([])
        bell.set_in(NEVER)
        bell.turn_off()
        gone = weakref.ref(bell)
        del bell
        assert gone() is None

    run(main())


def test_entries_of_what_is_turned_off_do_not_pile_up(run: Run) -> None:
    async def main() -> None:
        waiting = [Bell([]) for _ in range(200)]
        for bell in waiting:
            bell.set_in(NEVER)
        for _ in range(5000):
            (bell := Bell([])).set_in(NEVER / 2)
            bell.turn_off()
        assert len(alarms._clock()._waiting) <= 2 * len(waiting) + 2
        soon = Bell([])
        soon.set_in(SOON)
        await heard(soon)
        assert all(bell.at is not None for bell in waiting), "and nothing else was thrown away"

    run(main())


def test_those_that_are_left_still_ring_in_order(run: Run) -> None:
    async def main() -> None:
        rung: list[Bell] = []
        now = asyncio.get_running_loop().time()
        bells = {Bell(rung): now + LATER * (1 + number * 37 % 400 / 400) for number in range(400)}
        for bell, at in bells.items():
            bell.set(at)
        left = [bell for number, bell in enumerate(bells) if number % 11 == 0]
        for bell in bells.keys() - {*left}:
            bell.turn_off()
        await heard(max(left, key=lambda bell: bells[bell]))
        assert rung == sorted(left, key=lambda bell: bells[bell])

    run(main())


def test_each_loop_has_its_own(run: Run) -> None:
    async def main() -> None:
        Bell([]).set_in(SOON)
        bell = Bell([])
        bell.set_in(LATER)
        await heard(bell)

    run(main())
    run(main())


def test_a_block_is_cancelled_when_it_has_lasted_too_long(run: Run) -> None:
    async def main() -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        with pytest.raises(TimeoutError), Until(at := loop.time() + SOON):
            await asyncio.sleep(NEVER)
        assert loop.time() >= at
        assert task.cancelling() == 0
        with pytest.raises(TimeoutError), Until(0.0):
            await asyncio.sleep(NEVER)

    run(main())


def test_a_block_that_ends_in_time_is_left_alone(run: Run) -> None:
    async def main() -> None:
        with Until(asyncio.get_running_loop().time() + SOON) as until:
            await asyncio.sleep(0)
        assert until.at is None
        later = Bell([])
        later.set_in(LATER)
        await heard(later)

    run(main())


def test_who_is_cancelled_from_outside_is_cancelled(run: Run) -> None:
    async def stuck() -> None:
        with Until(asyncio.get_running_loop().time() + NEVER):
            await asyncio.sleep(NEVER)

    async def main() -> None:
        task = asyncio.create_task(stuck())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


def test_a_cancellation_from_outside_counts_even_when_the_time_is_up(run: Run) -> None:
    async def both() -> None:
        task = asyncio.current_task()
        assert task is not None
        with Until(asyncio.get_running_loop().time() + NEVER) as until:
            task.cancel()
            until.ring()
            await asyncio.sleep(NEVER)

    async def main() -> None:
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(both())

    run(main())


def test_the_inner_of_two_blocks_is_the_one_that_ends(run: Run) -> None:
    async def main() -> None:
        now = asyncio.get_running_loop().time()
        with Until(now + NEVER):
            with pytest.raises(TimeoutError), Until(now + SOON):
                await asyncio.sleep(NEVER)
            await asyncio.sleep(0)

    run(main())
