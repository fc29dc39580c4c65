"""All processes of the workspaces of this server."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from uuid import UUID

from retinue.domain.errors import ToolError
from retinue.domain.tools import ToolErrorKind
from retinue.tools.workspace.jobs import Job, Outcome, Prompt
from retinue.tools.workspace.process import Stop, carry_out

AT_ONCE = 16
AT_ONCE_PER_TENANT = 6


class Processes:
    """Runs jobs, a bounded number at the same time, without ever blocking the event loop."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="workspace")
        self._running: Counter[UUID] = Counter()

    async def carry_out(self, job: Job, tenant_id: UUID, *, room: int, prompt: Prompt | None = None) -> Outcome:
        """Do a job. When this returns, or raises, nothing of it is left: also when it is cancelled.

        Raises: ToolError: `workspace_busy`, `workspace_unavailable`; nothing has happened.
        """
        with self._place(tenant_id):
            stop = Stop()
            work = asyncio.get_running_loop().run_in_executor(
                self._threads, partial(carry_out, job, stop, room=room, prompt=prompt)
            )
            try:
                return await asyncio.shield(work)
            except asyncio.CancelledError:
                stop.set()
                await _settled(work)
                raise
            except OSError:
                raise ToolError(
                    "No process can be started now.",
                    kind=ToolErrorKind.TRANSIENT,
                    code="workspace_unavailable",
                    took_effect=False,
                ) from None
            finally:
                stop.close()

    @contextmanager
    def _place(self, tenant_id: UUID) -> Iterator[None]:
        if self._running.total() >= AT_ONCE or self._running[tenant_id] >= AT_ONCE_PER_TENANT:
            raise ToolError(
                "Too many commands run at the moment.",
                kind=ToolErrorKind.TRANSIENT,
                code="workspace_busy",
                took_effect=False,
            )
        self._running[tenant_id] += 1
        try:
            yield
        finally:
            self._running[tenant_id] -= 1
            if not self._running[tenant_id]:
                del self._running[tenant_id]


async def _settled(work: "asyncio.Future[Outcome]") -> None:
    """Wait for the end of work that was told to stop, however often this is cancelled meanwhile."""
    while not work.done():
        try:
            await asyncio.wait([work])
        except asyncio.CancelledError:
            continue
    work.exception()
