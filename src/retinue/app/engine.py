"""The run engine and the jobs around it."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any

from retinue.coordination.base import Coordination
from retinue.crypto import Keyring
from retinue.db.session import Database
from retinue.domain.signals import Signal, SignalKind
from retinue.jobs.erasure import Eraser
from retinue.jobs.leases import keep_leases
from retinue.jobs.lookout import Lookout
from retinue.jobs.retention import Retention, keep_pruning
from retinue.jobs.summing import keep_summing
from retinue.jobs.waits import keep_expiring
from retinue.providers.registry import ProviderRegistry
from retinue.runs.admission import Admission
from retinue.runs.cancellation import Cancellation
from retinue.runs.dispatcher import Dispatcher
from retinue.runs.errands import Errands
from retinue.runs.event_writer import EventWriter
from retinue.runs.factory import RunnerFactory
from retinue.runs.follow import Follower
from retinue.runs.lease import Lease
from retinue.runs.limiting.book import LimitsBook
from retinue.runs.limiting.tokens import TokenMeter
from retinue.runs.recovery import Recovery
from retinue.runs.service import RunService
from retinue.runs.sessions import Sessions
from retinue.runs.supervisor import Supervisor
from retinue.runs.switchboard import Switchboard
from retinue.runs.turnstile import Turnstile
from retinue.runs.waiting.approvals import Approvals
from retinue.runs.waiting.expiry import Expiry
from retinue.runs.wakes import Wakes
from retinue.settings import Settings
from retinue.tools.registry import ToolRegistry


class Engine:
    """Everything that runs runs in one process."""

    def __init__(
        self,
        settings: Settings,
        *,
        process: str,
        database: Database,
        reserved: Database,
        keyring: Keyring,
        providers: ProviderRegistry,
        tools: ToolRegistry,
        coordination: Coordination,
    ) -> None:
        """
        Args:
            reserved: the same database over connections that no request can hold: leases must not run out, nor events
                pile up, because many requests are waiting.
        """
        self._reserved = reserved
        self._coordination = coordination
        self._lease = Lease(owner=process, seconds=settings.runs.lease_seconds)
        self._retention = Retention(events=settings.retention.event_seconds, interval=settings.retention.sweep_seconds)
        self._writer = EventWriter(
            reserved, batch=settings.runs.event_batch, flush_seconds=settings.runs.event_flush_ms / 1000
        )
        self._stopping, self._wakes, self._errands = asyncio.Event(), Wakes(), Errands()
        self.turnstile = Turnstile()
        self.supervisor = Supervisor(max_active=settings.runs.max_active, tenant_share=settings.runs.tenant_share)
        self.limits = LimitsBook(database, settings.rates.limits())
        tokens = TokenMeter(coordination.rates, self.limits, patience=settings.rates.token_wait_seconds)
        limits = settings.tools.complete(settings.runs.complete(settings.limits.run_limits()))
        limits = settings.approvals.complete(limits)
        sessions = Sessions(settings.limits.session_policy(ttl_seconds=settings.sessions.ttl_seconds))
        factory = RunnerFactory(
            database=database,
            keyring=keyring,
            providers=providers,
            tools=tools,
            log=coordination.log,
            writer=self._writer,
            limits=limits,
            retries=settings.provider.retry_policy(),
            lease=self._lease,
            tokens=tokens,
        )
        self._dispatcher = Dispatcher(
            database=database,
            factory=factory,
            recovery=Recovery(database, factory, self.limits),
            supervisor=self.supervisor,
            signals=coordination.signals,
            limits=self.limits,
        )
        self._switchboard = Switchboard(
            supervisor=self.supervisor, dispatcher=self._dispatcher, wakes=self._wakes, errands=self._errands
        )
        coordination.signals.subscribe(self._switchboard.hear)
        self.supervisor.on_end = self._switchboard.run_ended
        self.runs = RunService(
            database=database,
            admission=Admission(factory, sessions),
            supervisor=self.supervisor,
            dispatcher=self._dispatcher,
            cancellation=Cancellation(database, self.supervisor, coordination.signals, self._wakes, self.turnstile),
            follower=Follower(database, coordination.log, self._wakes, self._stopping),
            signals=coordination.signals,
            errands=self._errands,
            turnstile=self.turnstile,
            sessions=sessions,
            limits=self.limits,
            tokens=tokens,
            idempotency_seconds=settings.retention.idempotency_seconds,
        )
        self._eraser = Eraser(
            database=reserved,
            coordination=coordination,
            workspaces=Path(settings.workspace.root).resolve(),
            worker=process,
            on_deleted=lambda _: providers.forget(),
        )
        self._expiry = Expiry(reserved, coordination.signals)
        self._sweep_seconds, self._sum_seconds = settings.approvals.sweep_seconds, settings.usage.sum_seconds
        self.approvals = Approvals(
            database=database,
            dispatcher=self._dispatcher,
            expiry=self._expiry,
            errands=self._errands,
            result_chars=limits.result_chars,
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to write, to keep leases and to look after runs that need a process."""
        await self._coordination.start()
        lookout = Lookout(
            database=self._reserved,
            lease=self._lease,
            supervisor=self.supervisor,
            dispatcher=self._dispatcher,
            switchboard=self._switchboard,
            wakes=self._wakes,
            limits=self.limits,
            is_alone=not self._coordination.is_shared,
            hears_others=lambda: self._coordination.is_healthy,
        )
        self._begin("event-writer", self._writer.run())
        self._begin("leases", keep_leases(self._reserved, self._lease, self.supervisor))
        self._begin("lookout", lookout.run())
        self._begin("waits", keep_expiring(self._expiry, self._sweep_seconds))
        self._begin("retention", keep_pruning(self._reserved, self._retention))
        self._begin("summing", keep_summing(self._reserved, self._sum_seconds))
        self._begin("erasure", self._eraser.run())

    async def drain(self, grace_seconds: float) -> None:
        """Take nothing new, let runs finish for the grace period, hand the rest over, then let every stream go."""
        handed_over = await self.supervisor.drain(grace_seconds)
        for run in handed_over:
            self._coordination.signals.send(Signal(SignalKind.ORPHAN, run.tenant_id, run.id))
        self._stopping.set()
        self._wakes.wake_all()
        await self._errands.finish()

    async def aclose(self) -> None:
        """End the jobs. Nothing may run any more."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await self._coordination.aclose()

    def _begin(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))
