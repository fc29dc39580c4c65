"""The clocks of a call, on both event loops."""

import asyncio
import contextlib

import pytest

from retinue.domain.errors import ProviderTimeout
from retinue.domain.policy import Deadlines
from retinue.providers.deadlines import CallClock
from tests.support.loops import Run


async def forever() -> None:
    await asyncio.get_running_loop().create_future()


def test_each_wait_is_bounded(run: Run) -> None:
    async def main() -> None:
        clock = CallClock(Deadlines(first_token=0.02, between_tokens=0.02, total=5))
        with pytest.raises(ProviderTimeout), clock:
            await forever()
        clock.progress()
        with clock:
            await asyncio.sleep(0)
        with pytest.raises(ProviderTimeout), clock:
            await forever()
        task = asyncio.current_task()
        assert task is not None
        assert task.cancelling() == 0
        clock.turn_off()

    run(main())


def test_waits_without_a_token_add_up(run: Run) -> None:
    async def main() -> None:
        clock = CallClock(Deadlines(first_token=0.05))

        async def comments() -> None:
            for _ in range(400):
                with clock:
                    await asyncio.sleep(0.005)

        with pytest.raises(ProviderTimeout):
            await comments()
        clock.turn_off()

    run(main())


def test_tokens_start_the_wait_anew_and_the_reader_s_time_is_free(run: Run) -> None:
    async def main() -> None:
        clock = CallClock(Deadlines(first_token=0.2, between_tokens=0.2, total=5))
        for _ in range(10):
            with clock:
                await asyncio.sleep(0.03)
            clock.progress()
        await asyncio.sleep(0.25)
        with clock:
            await asyncio.sleep(0)
        clock.turn_off()

    run(main())


def test_grace_shortens_a_wait_that_is_already_timed(run: Run) -> None:
    async def main() -> None:
        clock = CallClock(Deadlines(first_token=30, between_tokens=30))
        with clock:
            await asyncio.sleep(0)
        clock.grace(0.01)
        async with asyncio.timeout(5):
            with pytest.raises(ProviderTimeout), clock:
                await forever()
        clock.turn_off()

    run(main())


def test_the_whole_is_bounded(run: Run) -> None:
    async def main() -> None:
        clock = CallClock(Deadlines(total=0.05))

        async def tokens() -> None:
            while True:
                with clock:
                    await asyncio.sleep(0.002)
                clock.progress()

        with pytest.raises(ProviderTimeout):
            await tokens()
        clock.turn_off()

    run(main())


def test_a_cancel_from_outside_stays_a_cancel(run: Run) -> None:
    async def main() -> None:
        waiting = asyncio.Event()

        async def wait() -> None:
            clock = CallClock(Deadlines())
            try:
                with clock:
                    waiting.set()
                    await forever()
            finally:
                clock.turn_off()

        task = asyncio.get_running_loop().create_task(wait())
        await waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run(main())


@pytest.mark.parametrize("seconds", [0.0004, 0.0001, 0.00001])
def test_a_wait_shorter_than_the_loop_s_own_resolution(run: Run, seconds: float) -> None:
    """uvloop answers such a delay with a handle that does not know its time."""

    async def main() -> None:
        clock = CallClock(Deadlines(first_token=30))
        with clock:
            await asyncio.sleep(0)
        clock.grace(seconds)
        for _ in range(3):
            with contextlib.suppress(ProviderTimeout), clock:
                await asyncio.sleep(0)
        async with asyncio.timeout(5):
            with pytest.raises(ProviderTimeout), clock:
                await forever()
        clock.turn_off()

    run(main())
