"""Two processes that share a Redis, and a follower that does what the engine's does."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

from retinue.coordination.base import Coordination, Tail
from retinue.coordination.redis import RedisCoordination
from retinue.domain import events as e
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position, ms_of, new_id
from tests.contract.coordination.conftest import DEADLINE, event
from tests.support.runs import AT, RUN_ID, STATS


@asynccontextmanager
async def process(url: str, *, window: int = 1024, connected: bool = True) -> AsyncGenerator[RedisCoordination, None]:
    """As if it were a process of its own."""
    coordination = RedisCoordination(url, process=f"tests-{new_id()}", window=window)
    await coordination.start()
    try:
        if connected:
            await until(lambda: coordination.is_healthy)
        yield coordination
    finally:
        async with asyncio.timeout(DEADLINE):
            await coordination.aclose()


@asynccontextmanager
async def two_processes(url: str, *, window: int = 1024) -> AsyncGenerator[tuple[Coordination, Coordination], None]:
    async with process(url, window=window) as here, process(url, window=window) as there:
        yield here, there


async def until(is_so: Callable[[], object], within: float = DEADLINE) -> None:
    async with asyncio.timeout(within):
        while not is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def follow(
    tail: Tail, last: Position, after: Position = START, stored: Callable[[], Sequence[RecordedEvent]] = lambda: ()
) -> list[RecordedEvent]:
    """Everything from `after` to `last`, from the tail or, when that has no answer, from what is stored."""
    came: list[RecordedEvent] = []
    async with asyncio.timeout(2 * DEADLINE):
        while after < last:
            batch = await tail.take(after)
            assert not batch.is_broken
            events = batch.events or [event for event in stored() if event.position > after]
            if not events:
                assert not batch.is_closed, f"closed at {after}"
                await asyncio.sleep(0.001)
                continue
            assert all(before.position < behind.position for before, behind in pairwise(events))
            assert events[0].position > after
            came += events
            after = events[-1].position
    return came


async def ready(tail: Tail, after: Position = START) -> None:
    """The follower is heard: its first question is answered at once, and its reader has looked."""
    assert (await tail.take(after)).is_idle


def terminal(seq: int, attempt: int = 1) -> RecordedEvent:
    end = e.RunCompleted(
        conversation_id=RUN_ID,
        message_id=RUN_ID,
        finish_reason="stop",
        usage=None,
        cost=None,
        generation_stats=STATS,
        tool_log=(),
        event_count=seq,
        text_sha256="",
        metadata={},
    )
    return RecordedEvent(RUN_ID, attempt, seq, ms_of(AT), end)


def upto(last: int, first: int = 1, attempt: int = 1) -> list[RecordedEvent]:
    return [event(seq, attempt) for seq in range(first, last + 1)]
