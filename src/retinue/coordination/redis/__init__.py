"""Coordination of any number of processes over Redis, which may lose everything at any time."""

import asyncio
from uuid import UUID

from retinue.coordination.base import Coordination
from retinue.coordination.channel import WINDOW, LiveRuns
from retinue.coordination.redis.connection import Address
from retinue.coordination.redis.decider import Decider
from retinue.coordination.redis.forgetting import forget
from retinue.coordination.redis.health import Health
from retinue.coordination.redis.log import RedisEventLog
from retinue.coordination.redis.outbox import Outgoing
from retinue.coordination.redis.publisher import Publisher
from retinue.coordination.redis.rates import RedisRates
from retinue.coordination.redis.reader import Reader
from retinue.coordination.redis.signals import RedisSignals, Subscriber

LAST_WORDS_SECONDS = 0.5
"""How long closing waits for what has not been sent yet."""


class RedisCoordination(Coordination):
    """Four connections per process: one that writes, one that reads streams, one that hears signals and one that asks
    about rates. How the last one fares says nothing of the others.
    """

    def __init__(self, url: str, *, process: str, window: int = WINDOW) -> None:
        self._address = address = Address(url)
        self._health = Health(process)
        self._live = LiveRuns(window)
        self._publisher = Publisher(address, self._health, process=process, on_fenced=self._let_go)
        self._reader = Reader(address, self._health, process=process, window=window, wake=self._publisher.wake_reader)
        signals = RedisSignals(self._publisher.outbox)
        self._subscriber = Subscriber(address, self._health, signals.hear)
        self._decider = Decider(address, Health(process, "rates"), process=process)
        self._workers = (self._publisher, self._reader, self._subscriber, self._decider)
        self.signals = signals
        self.rates = RedisRates(self._decider)
        self.log = RedisEventLog(self._live, self._publisher.outbox, self._reader.followers)

    @property
    def is_shared(self) -> bool:
        return True

    @property
    def is_healthy(self) -> bool:
        return self._health.is_good

    async def start(self) -> None:
        for worker in self._workers:
            worker.start()

    async def forget(self, tenant_id: UUID) -> None:
        await forget(self._address, tenant_id)

    async def aclose(self) -> None:
        self._live.break_off()
        self._reader.followers.break_off()
        if self._publisher.is_running:
            await self._say_last_words()
        await asyncio.gather(*(worker.aclose() for worker in self._workers))

    async def _say_last_words(self) -> None:
        try:
            async with asyncio.timeout(LAST_WORDS_SECONDS):
                await self._publisher.drain()
        except TimeoutError:
            pass

    def _let_go(self, run: Outgoing) -> None:
        """Another process has the run: followers here come again and are given what that one publishes."""
        self._live.close(run.run_id)
