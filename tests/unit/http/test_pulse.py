"""Keep-alive comments of the short way."""

import asyncio
from collections.abc import Callable

from retinue.http.pulse import KEEP_ALIVE, Pulse

SECONDS = 0.001


class Spout:
    """An outlet that counts how often it was asked, and is free as often as a test says."""

    def __init__(self, *free: bool) -> None:
        self._free = list(free)
        self.written: list[bytes] = []
        self.asked = asyncio.Event()

    def is_offered(self) -> bool:
        return True

    def is_free(self) -> bool:
        is_free = self._free.pop(0)
        if not self._free:
            self.asked.set()
        return is_free

    def write(self, piece: bytes) -> None:
        self.written.append(piece)

    def when_gone(self, call: Callable[[], None] | None) -> None:
        raise NotImplementedError


async def test_nothing_is_said_while_something_waits() -> None:
    spout = Spout(True, False, False, True)
    pulse = Pulse(spout, SECONDS)
    async with asyncio.timeout(5):
        await spout.asked.wait()
    pulse.turn_off()
    await asyncio.sleep(5 * SECONDS)
    assert spout.written == [KEEP_ALIVE, KEEP_ALIVE], "and nothing after it was stopped"


async def test_a_stopped_pulse_never_beats() -> None:
    spout = Spout(True)
    Pulse(spout, SECONDS).turn_off()
    await asyncio.sleep(5 * SECONDS)
    assert spout.written == []
