"""Tasks that need the server and outlive its absence."""

import asyncio
from abc import ABC, abstractmethod

import structlog

from retinue.coordination.redis.connection import Address, Link, Unreachable
from retinue.coordination.redis.health import Health

_log = structlog.get_logger(__name__)


class Worker(ABC):
    """Holds one connection. Whatever ends its work, it begins again after a pause, until it is closed."""

    name: str

    def __init__(self, address: Address, health: Health) -> None:
        self.link = Link(address)
        self.part = health.part(self.name)
        self._task: asyncio.Task[None] | None = None

    @abstractmethod
    async def work(self) -> None:
        """Work on the connection for as long as it lasts; say `part.works()` whenever that is proven.

        Raises:
            Unreachable: it has not lasted.
        """

    @property
    def is_running(self) -> bool:
        return self._task is not None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"coordination:{self.name}")

    async def aclose(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait([task])
        await self.link.aclose()

    async def _run(self) -> None:
        while True:
            try:
                await self.work()
            except Unreachable as error:
                pause = self.part.failed(error.reason)
            except Exception as error:
                _log.exception("coordination_failed", part=self.name)
                pause = max(self.part.failed(type(error).__name__), 0.05)
            else:
                pause = 0.0
            await asyncio.sleep(pause)
