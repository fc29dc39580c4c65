"""Owns the task of every run in this process. Runs live here, not in any response."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from uuid import UUID

import structlog

from retinue.domain.errors import Unavailable
from retinue.domain.runs import Run
from retinue.runs.places import Places
from retinue.runs.runner import Runner

_log = structlog.get_logger(__name__)


class Supervisor:
    """Starts, stops and drains runs. A failing run never touches another one."""

    def __init__(self, *, max_active: int, tenant_share: float = 1.0) -> None:
        """
        Args:
            tenant_share: see `Places`.
        """
        self._max_active = max_active
        self._places = Places(max_active, share=tenant_share)
        self._runners: dict[UUID, Runner] = {}
        self._tasks: dict[UUID, asyncio.Task[None]] = {}
        self._preparing = 0
        self._nothing_prepared = asyncio.Event()
        self._nothing_prepared.set()
        self._is_draining = False
        self.on_end: Callable[[Run], None] = lambda _: None
        """Called after each run of this process, when it has ended or is somebody else's."""

    @property
    def active_count(self) -> int:
        return len(self._tasks)

    @property
    def load(self) -> float:
        """How much of what this process may run is running: 0 to 1."""
        return len(self._tasks) / self._max_active

    @property
    def room(self) -> int:
        """Runs that may still be started here."""
        return 0 if self._is_draining else self._places.free

    @property
    def is_draining(self) -> bool:
        return self._is_draining

    @property
    def active_ids(self) -> frozenset[UUID]:
        return frozenset(self._runners)

    @property
    def runners(self) -> Mapping[UUID, Runner]:
        """Those of this moment."""
        return dict(self._runners)

    def refuse_if_draining(self) -> None:
        """Raises: Unavailable, `shutting_down`."""
        if self._is_draining:
            raise Unavailable("This process is shutting down.", code="shutting_down", headers={"Retry-After": "1"})

    @contextmanager
    def admit(self, tenant_id: UUID) -> Iterator[None]:
        """Hold a place for one more run of the tenant while it is prepared; `start` it inside.

        Raises:
            Unavailable: `shutting_down`, or `too_many_runs`: there is no place, or it is not for this tenant; on
                entering.
        """
        self.refuse_if_draining()
        if not self._places.has_one_for(tenant_id):
            detail = "This process runs as many answers as it may, or as many of this tenant."
            raise Unavailable(detail, code="too_many_runs", headers={"Retry-After": "1"})
        self._places.take(tenant_id)
        self._preparing += 1
        self._nothing_prepared.clear()
        try:
            yield
        finally:
            self._places.leave(tenant_id)
            self._preparing -= 1
            if self._preparing == 0:
                self._nothing_prepared.set()

    def start(self, runner: Runner) -> None:
        """Take a run over that is not here yet. Its first event is recorded before this returns.

        Raises:
            ProcessLost: see `Runner.begin`.
        """
        run_id = runner.run.id
        runner.begin()
        task = asyncio.create_task(self._guard(runner), name=f"run-{run_id}")
        self._runners[run_id] = runner
        self._tasks[run_id] = task
        self._places.take(runner.run.tenant_id)

    def runs(self, run_id: UUID) -> bool:
        """Whether the run is in this process, if only to be parted with."""
        return run_id in self._runners

    def runs_in(self, conversation_id: UUID) -> bool:
        """Whether this process runs something in the conversation."""
        return any(runner.run.conversation_id == conversation_id for runner in self._runners.values())

    def cancel(self, tenant_id: UUID, run_id: UUID) -> bool:
        """Cancel a run, if it is this tenant's and here. Does not wait; see `ended`."""
        runner = self._runners.get(run_id)
        if runner is None or runner.run.tenant_id != tenant_id:
            return False
        runner.cancel()
        return True

    def cancel_asked(self, run_ids: Iterable[UUID]) -> None:
        """Cancel runs of which the database says that somebody asked for it."""
        for run_id in run_ids:
            if runner := self._runners.get(run_id):
                runner.cancel()

    def cancel_tenant(self, tenant_id: UUID) -> None:
        """Cancel whatever runs here for a tenant. Does not wait."""
        for runner in self._runners.values():
            if runner.run.tenant_id == tenant_id:
                runner.cancel()

    async def ended(self, run_id: UUID) -> None:
        """Wait until a run is not in this process any more; returns at once if it never was."""
        if task := self._tasks.get(run_id):
            await asyncio.wait([task])

    def renew(self, run_ids: Iterable[UUID], asked_at: float) -> None:
        """The leases of these runs were renewed."""
        for run_id in run_ids:
            if runner := self._runners.get(run_id):
                runner.renew(asked_at)

    def lose(self, runners: Iterable[Runner]) -> None:
        """Stop runs that are not this process's any more. Does not wait for them. A run that has come back meanwhile,
        with another runner, goes on.
        """
        for runner in runners:
            if self._runners.get(runner.run.id) is runner:
                runner.lose()

    def stop_admitting(self) -> None:
        """Start nothing new from now on."""
        self._is_draining = True

    async def drain(self, grace_seconds: float) -> Sequence[Run]:
        """Start nothing new, let runs finish for the grace period, hand the rest over. Returns the rest."""
        self.stop_admitting()
        await self._nothing_prepared.wait()
        if self._tasks:
            _log.info("draining", runs=len(self._tasks), grace_seconds=grace_seconds)
            await asyncio.wait(self._tasks.values(), timeout=grace_seconds)
        rest = list(self._runners.values())
        for runner in rest:
            runner.hand_over()
        await self._gone(runner.run.id for runner in rest)
        return [runner.run for runner in rest]

    async def _gone(self, run_ids: Iterable[UUID]) -> None:
        if tasks := [self._tasks[run_id] for run_id in run_ids if run_id in self._tasks]:
            await asyncio.wait(tasks)

    async def _guard(self, runner: Runner) -> None:
        try:
            await runner.execute()
        except Exception:
            _log.exception("run_lost", run_id=str(runner.run.id))
        finally:
            del self._runners[runner.run.id], self._tasks[runner.run.id]
            self._places.leave(runner.run.tenant_id)
            self.on_end(runner.run)
