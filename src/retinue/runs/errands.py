"""Short tasks that nobody waits for, and that somebody owns."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

from retinue.domain.errors import RetinueError

_log = structlog.get_logger(__name__)


class Errands:
    """Runs them side by side. One that fails is logged; what it was for comes again with the next round of a job."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, work: Coroutine[Any, Any, Any], name: str) -> None:
        task = asyncio.create_task(_guarded(work, name), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        """Wait until all are back, those included that are sent meanwhile."""
        while self._tasks:
            await asyncio.wait(self._tasks)


async def _guarded(work: Coroutine[Any, Any, Any], name: str) -> None:
    try:
        await work
    except RetinueError as error:
        _log.warning("errand_failed", errand=name, code=error.problem_code)
    except Exception:
        _log.exception("errand_failed", errand=name)
