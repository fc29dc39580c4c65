"""The backends. A new one joins all of this by one more parameter."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import pytest

from retinue.coordination.base import Batch, Coordination, EventLog, Tail
from retinue.coordination.memory import MemoryCoordination
from retinue.coordination.redis import RedisCoordination
from retinue.domain import events as e
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position, ms_of, new_id
from tests.support.runs import AT, RUN_ID

WINDOW = 8
DEADLINE = 5.0
TENANT_ID = UUID("01928f6e-0000-7000-8000-0000000000aa")

Made = Callable[[pytest.FixtureRequest], Coordination]
BACKENDS: dict[str, Made] = {
    "memory": lambda _: MemoryCoordination(window=WINDOW),
    "redis": lambda request: RedisCoordination(
        request.getfixturevalue("redis_url"), process=f"tests-{new_id()}", window=WINDOW
    ),
}


@pytest.fixture(params=BACKENDS)
async def coordination(request: pytest.FixtureRequest) -> AsyncIterator[Coordination]:
    """A backend whose windows hold `WINDOW` events."""
    coordination = BACKENDS[request.param](request)
    await coordination.start()
    yield coordination
    async with asyncio.timeout(DEADLINE):
        await coordination.aclose()


@pytest.fixture
def log(coordination: Coordination) -> EventLog:
    return coordination.log


def event(seq: int, attempt: int = 1, run_id: UUID = RUN_ID) -> RecordedEvent:
    return RecordedEvent(run_id, attempt, seq, ms_of(AT), e.TextDelta(delta=f"{attempt}-{seq}"))


def publish(log: EventLog, *seqs: int, attempt: int = 1, run_id: UUID = RUN_ID) -> None:
    for seq in seqs:
        log.publish(event(seq, attempt, run_id))


async def take(tail: Tail, after: Position = START) -> Batch:
    async with asyncio.timeout(DEADLINE):
        return await tail.take(after)


def seqs(batch: Batch) -> list[int]:
    return [event.position.seq for event in batch.events]


async def read_until(
    tail: Tail, is_enough: Callable[[Sequence[RecordedEvent]], bool], after: Position = START
) -> Batch:
    """Take until enough came or the tail says something else than events; everything that came, and the last word."""
    came: list[RecordedEvent] = []
    while True:
        batch = await take(tail, came[-1].position if came else after)
        came += batch.events
        if not batch.events or is_enough(came):
            return Batch(events=came, has_gap=batch.has_gap, is_closed=batch.is_closed, is_broken=batch.is_broken)


async def read_to_the_end(tail: Tail, after: Position = START) -> Batch:
    return await read_until(tail, lambda _: False, after)


@asynccontextmanager
async def waiting(work: Awaitable[Batch]) -> AsyncGenerator[asyncio.Task[Batch], None]:
    """A follower that has begun to wait; cancelled on the way out if it still does."""
    task = asyncio.ensure_future(work)  # noqa: TID251
    try:
        await asyncio.sleep(0)
        assert not task.done()
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
