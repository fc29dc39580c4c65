"""Whether this process should get requests."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from retinue.observability.lag import LagMonitor

PING_SECONDS = 2.0
"""A balancer does not wait longer for its answer either."""


class Readiness:
    """Puts together what the parts of a process say about themselves.

    `place` tells what is wrong with this process's place among others, `load` the share of the runs it may have,
    `coordination` whether other processes can be heard.
    """

    def __init__(
        self,
        *,
        is_draining: Callable[[], bool],
        ping: Callable[[], Coroutine[Any, Any, None]],
        place: Callable[[], str | None],
        load: Callable[[], float],
        max_load: float,
        lag: LagMonitor,
        max_lag_ms: float,
        coordination: Callable[[], bool],
    ) -> None:
        self._is_draining = is_draining
        self._ping = ping
        self._asking: asyncio.Task[None] | None = None
        self._place = place
        self._load, self._max_load = load, max_load
        self._lag, self._max_lag_ms = lag, max_lag_ms
        self._coordination = coordination

    async def reasons(self) -> list[str]:
        """Why it should get none, one word each; empty if it should.

        `draining`: it is about to end. `database`: that does not answer. `not_alone`: another process has taken this
        one's place. `busy`: it has as many runs as it should. `lag`: its event loop is late.
        """
        if self._is_draining():
            return ["draining"]
        found = [] if await self._database_answers() else ["database"]
        if (trouble := self._place()) is not None and trouble not in found:
            found.append(trouble)
        if self._load() >= self._max_load:
            found.append("busy")
        if self._lag.milliseconds > self._max_lag_ms:
            found.append("lag")
        return found

    def degraded(self) -> list[str]:
        """What works, but worse than it should: `coordination`, while streams from other processes are slower."""
        return [] if self._coordination() else ["coordination"]

    async def _database_answers(self) -> bool:
        """Whoever asks while another one is asking gets the same answer, so that probes do not use up the pool."""
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ping())
            self._asking.add_done_callback(lambda task: task.cancelled() or task.exception())
        asking = self._asking
        await asyncio.wait({asking}, timeout=PING_SECONDS)
        # Ending it may take as long again, and nobody has to wait for that.
        asking.cancel()
        return asking.done() and not asking.cancelled() and asking.exception() is None
