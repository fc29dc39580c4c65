"""How late the event loop is."""

import asyncio
from collections import deque
from time import monotonic

from retinue.observability.metrics import METRICS

INTERVAL_SECONDS = 0.1
WINDOW_SECONDS = 3.0


class LagMonitor:
    """Measures by how much a short sleep oversleeps: so long everything else in this process waits as well."""

    def __init__(self) -> None:
        self._late: deque[tuple[float, float]] = deque()
        self._due: float | None = None

    @property
    def milliseconds(self) -> float:
        """The worst of the last seconds, including a wake-up that is overdue now. 0 while nothing was measured."""
        overdue = 0.0 if self._due is None else monotonic() - self._due
        return 1000 * max([overdue, 0.0, *(late for _, late in self._late)])

    async def run(self) -> None:
        """Measure until cancelled."""
        try:
            while True:
                self._due = monotonic() + INTERVAL_SECONDS
                await asyncio.sleep(INTERVAL_SECONDS)
                self._note(monotonic(), self._due)
        finally:
            self._due = None

    def _note(self, now: float, due: float) -> None:
        self._late.append((now, now - due))
        METRICS.lag.observe(now - due)
        while now - self._late[0][0] > WINDOW_SECONDS:
            self._late.popleft()
