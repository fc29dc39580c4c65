"""A live stream that whatever happens to Redis must not harm."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from retinue.coordination.base import IDLE_SECONDS, Coordination, Tail
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START
from tests.contract.coordination.across import two_processes, until
from tests.contract.coordination.conftest import TENANT_ID, event
from tests.support.redis import RedisServer
from tests.support.runs import RUN_ID

BACK_SECONDS = 4.0
"""A lost connection is noticed within about two seconds, and tries are at most one apart."""


class Stream:
    """A run that goes on and on in one process, is stored a little later, and is followed in another."""

    def __init__(self, here: Coordination, tail: Tail) -> None:
        self.here = here
        self.published: list[RecordedEvent] = []
        self.came: list[RecordedEvent] = []
        self.from_tail = 0
        """Position of the newest event that came by the tail itself."""
        self.longest_take = 0.0
        self._tail = tail
        self._stored = 0

    async def publish(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for _ in range(3):
                self.published.append(event(len(self.published) + 1))
                began = loop.time()
                self.here.log.publish(self.published[-1])
                assert loop.time() - began < 0.5
            await asyncio.sleep(0.005)

    async def store(self) -> None:
        while True:
            await asyncio.sleep(0.1)
            self._stored = len(self.published)

    async def follow(self) -> None:
        loop, cursor = asyncio.get_running_loop(), START
        while True:
            began = loop.time()
            batch = await self._tail.take(cursor)
            self.longest_take = max(self.longest_take, loop.time() - began)
            assert not batch.is_closed
            events = list(batch.events) or self.published[cursor.seq : self._stored]
            if not events:
                await asyncio.sleep(0.01)
                continue
            self.came += events
            cursor = events[-1].position
            if batch.events:
                self.from_tail = cursor.seq

    async def is_live(self, within: float = BACK_SECONDS) -> None:
        """Something that is published from now on comes by the tail."""
        now = len(self.published)
        await until(lambda: self.from_tail > now, within)


@asynccontextmanager
async def streaming(server: RedisServer) -> AsyncGenerator[Stream, None]:
    async with two_processes(server.url) as (here, there), there.log.tail(TENANT_ID, RUN_ID) as tail:
        here.log.open(TENANT_ID, RUN_ID)
        stream = Stream(here, tail)
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(work) for work in (stream.publish(), stream.store(), stream.follow())]
            await stream.is_live()
            yield stream
            running[0].cancel()
            await until(lambda: len(stream.came) == len(stream.published))
            for task in running:
                task.cancel()
        assert stream.came == stream.published
        assert stream.longest_take < IDLE_SECONDS + 1
