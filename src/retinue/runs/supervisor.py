"""Owns the task of every run in this process. Runs live here, not in any response."""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from uuid import UUID

import structlog

from retinue.domain.errors import ServerStopping, Unavailable
from retinue.runs.ending import Cancelled, Ending, Failed
from retinue.runs.runner import Runner

_log = structlog.get_logger(__name__)


class Supervisor:
    """Starts, stops and drains runs. A failing run never touches another one."""

    def __init__(self, *, max_active: int) -> None:
        self._max_active = max_active
        self._runners: dict[UUID, Runner] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._preparing = 0
        self._nothing_prepared = asyncio.Event()
        self._nothing_prepared.set()
        self._is_draining = False

    @property
    def active_count(self) -> int:
        return len(self._tasks)

    @property
    def is_draining(self) -> bool:
        return self._is_draining

    @contextmanager
    def admit(self) -> Iterator[None]:
        """Hold a place for one more run while it is prepared; `start` it inside.

        Raises:
            Unavailable: `shutting_down` or `too_many_runs`, on entering.
        """
        if self._is_draining:
            raise Unavailable("This process is shutting down.", code="shutting_down", headers={"Retry-After": "1"})
        if len(self._tasks) + self._preparing >= self._max_active:
            raise Unavailable(
                "This process runs as many answers as it may.", code="too_many_runs", headers={"Retry-After": "1"}
            )
        self._preparing += 1
        self._nothing_prepared.clear()
        try:
            yield
        finally:
            self._preparing -= 1
            if self._preparing == 0:
                self._nothing_prepared.set()

    def start(self, runner: Runner) -> None:
        """Take a run over. Its first event is recorded before this returns."""
        run_id = runner.run.id
        runner.begin()
        task = asyncio.create_task(self._guard(runner), name=f"run-{run_id}")
        self._runners[run_id] = runner
        self._tasks[run_id] = task

    async def cancel_conversation(self, tenant_id: UUID, conversation_id: UUID) -> None:
        """Cancel what runs in a conversation and wait until it has ended."""
        await self._stop(
            Cancelled(),
            lambda runner: runner.run.tenant_id == tenant_id and runner.run.conversation_id == conversation_id,
        )

    async def cancel_tenant(self, tenant_id: UUID) -> None:
        """Cancel everything that runs for a tenant and wait until it has ended."""
        await self._stop(Cancelled(), lambda runner: runner.run.tenant_id == tenant_id)

    @property
    def active_ids(self) -> frozenset[UUID]:
        return frozenset(self._runners)

    def lose(self, run_ids: Iterable[UUID]) -> None:
        """Stop runs that are not this process's any more. Does not wait for them."""
        for run_id in run_ids:
            if runner := self._runners.get(run_id):
                runner.lose()

    async def drain(self, grace_seconds: float) -> None:
        """Start nothing new, let runs finish for the grace period, end the rest as `server_stopping`."""
        self._is_draining = True
        if self._tasks:
            _log.info("draining", runs=len(self._tasks), grace_seconds=grace_seconds)
            await asyncio.wait(self._tasks.values(), timeout=grace_seconds)
        await self._nothing_prepared.wait()
        await self._stop(Failed(ServerStopping()), lambda _: True)

    async def _stop(self, ending: Ending, is_meant: Callable[[Runner], bool]) -> None:
        meant = [run_id for run_id, runner in self._runners.items() if is_meant(runner)]
        tasks = [self._tasks[run_id] for run_id in meant]
        for run_id in meant:
            self._runners[run_id].stop(ending)
        if tasks:
            await asyncio.wait(tasks)

    async def _guard(self, runner: Runner) -> None:
        try:
            await runner.execute()
        except Exception:
            _log.exception("run_lost", run_id=str(runner.run.id))
        finally:
            self._runners.pop(runner.run.id, None)
            self._tasks.pop(runner.run.id, None)
