"""Coordination inside one process."""

from collections.abc import Callable
from uuid import UUID

from retinue.coordination.base import Coordination, EventLog, Signals
from retinue.coordination.buckets import MemoryRates
from retinue.coordination.channel import WINDOW, LiveRuns, LocalTail
from retinue.coordination.handlers import Handler, Handlers
from retinue.domain.events import RecordedEvent
from retinue.domain.signals import Signal


class MemoryCoordination(Coordination):
    def __init__(self, *, window: int = WINDOW) -> None:
        self._memory_log = MemoryEventLog(window=window)
        self.log = self._memory_log
        self.signals = MemorySignals()
        self.rates = MemoryRates()

    @property
    def is_shared(self) -> bool:
        return False

    @property
    def is_healthy(self) -> bool:
        return True

    async def start(self) -> None:
        pass

    async def forget(self, tenant_id: UUID) -> None:
        """There is nothing but the windows of runs that are live, and they go with them."""

    async def aclose(self) -> None:
        self._memory_log.break_off()


class MemoryEventLog(EventLog):
    """Keeps the newest `window` events of every live run; the tail of any other run is closed."""

    def __init__(self, *, window: int = WINDOW) -> None:
        self._live = LiveRuns(window)

    def open(self, tenant_id: UUID, run_id: UUID) -> None:
        self._live.open(tenant_id, run_id)

    def publish(self, *events: RecordedEvent, at_once: bool = False) -> None:
        self._live.publish(events, at_once=at_once)

    def close(self, run_id: UUID, *, broken: bool = False) -> None:
        self._live.close(run_id, broken=broken)

    def tail(self, tenant_id: UUID, run_id: UUID) -> LocalTail:
        return LocalTail(self._live.get(tenant_id, run_id))

    def break_off(self) -> None:
        self._live.break_off()


class MemorySignals(Signals):
    def __init__(self) -> None:
        self._handlers = Handlers()

    def send(self, signal: Signal) -> None:
        self._handlers.call_soon(signal)

    def subscribe(self, handler: Handler) -> Callable[[], None]:
        return self._handlers.add(handler)
