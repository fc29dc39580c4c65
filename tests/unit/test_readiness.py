"""Whether a process says that it should get no requests, and why."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import msgspec
import pytest

from retinue.domain.errors import Unavailable
from retinue.observability import lag as lag_module
from retinue.observability import readiness as readiness_module
from retinue.observability.lag import LagMonitor
from retinue.observability.readiness import Readiness


class Process(msgspec.Struct):
    """A process whose parts say what the test wants."""

    is_draining: bool = False
    trouble: str | None = None
    load: float = 0.0
    is_heard: bool = True
    ping_error: Exception | None = None
    is_database_silent: bool = False
    pings: int = 0
    speaks: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    async def ping(self) -> None:
        if self.ping_error is not None:
            raise self.ping_error
        self.pings += 1
        while self.is_database_silent:
            with suppress(asyncio.CancelledError):  # ending it takes as long as the database likes
                await self.speaks.wait()

    def readiness(self, lag: LagMonitor | None = None) -> Readiness:
        return Readiness(
            is_draining=lambda: self.is_draining,
            ping=self.ping,
            place=lambda: self.trouble,
            load=lambda: self.load,
            max_load=0.5,
            lag=lag or LagMonitor(),
            max_lag_ms=200,
            coordination=lambda: self.is_heard,
        )


@pytest.mark.parametrize(
    ("process", "reasons"),
    [
        (Process(), []),
        (Process(load=0.49), []),
        (Process(load=0.5), ["busy"]),
        (Process(trouble="not_alone"), ["not_alone"]),
        (Process(trouble="database"), ["database"]),
        (Process(ping_error=Unavailable()), ["database"]),
        (Process(ping_error=Unavailable(), trouble="database", load=1.0), ["database", "busy"]),
        (Process(is_draining=True, trouble="not_alone", load=1.0, ping_error=Unavailable()), ["draining"]),
        (Process(is_heard=False), []),
    ],
)
async def test_reasons(process: Process, reasons: list[str]) -> None:
    assert await process.readiness().reasons() == reasons


async def test_a_database_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness_module, "PING_SECONDS", 0.01)
    process = Process(is_database_silent=True)
    readiness = process.readiness()
    assert await asyncio.gather(*(readiness.reasons() for _ in range(5))) == [["database"]] * 5
    assert await readiness.reasons() == ["database"]
    assert process.pings == 1
    process.is_database_silent = False
    process.speaks.set()
    async with asyncio.timeout(10):
        while await readiness.reasons():  # noqa: ASYNC110
            await asyncio.sleep(0)


def test_what_is_worse_than_it_should_be() -> None:
    assert Process().readiness().degraded() == []
    assert Process(is_heard=False).readiness().degraded() == ["coordination"]


@pytest.fixture
async def lag(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[LagMonitor]:
    """A monitor that has begun to measure, ten times as often as usual."""
    monkeypatch.setattr(lag_module, "INTERVAL_SECONDS", 0.01)
    monkeypatch.setattr(lag_module, "WINDOW_SECONDS", 1.0)
    monitor = LagMonitor()
    task = asyncio.create_task(monitor.run())
    await asyncio.sleep(0)
    yield monitor
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    assert monitor.milliseconds < 10_000


async def test_a_blocked_event_loop_is_told_until_it_has_been_quick_again(lag: LagMonitor) -> None:
    readiness = Process().readiness(lag)
    time.sleep(0.3)  # noqa: ASYNC251  blocks the loop, which is the point
    assert 250 < lag.milliseconds < 5000, "overdue, though the monitor has not woken up yet"
    assert await readiness.reasons() == ["lag"]
    await asyncio.sleep(0)
    assert lag.milliseconds > 250
    async with asyncio.timeout(20):
        while await readiness.reasons():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


def test_nothing_was_measured_yet() -> None:
    assert LagMonitor().milliseconds == 0
