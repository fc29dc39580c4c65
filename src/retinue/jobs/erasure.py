"""Removes what deleted tenants have left: rows, streams, workspaces.

From the moment of its deletion a tenant does not exist for anybody; this is about the bytes. Everything here can be
broken off at any point and begun again, by this process or by another one.
"""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import UUID

import structlog

from retinue.coordination.base import Coordination
from retinue.db.repositories.erasure import ERASED
from retinue.db.session import Database
from retinue.domain.audit import SYSTEM
from retinue.domain.errors import RetinueError
from retinue.domain.signals import Signal, SignalKind
from retinue.tools.workspace.removal import remove_workspace, workspaces_in

POLL_SECONDS = 2.0
"""Between two looks for deleted tenants. A signal tells of one at once, if it does not get lost."""
SWEEP_SECONDS = 600.0
"""Between two searches of this machine's disk for workspaces whose tenants were erased while it was away."""
SETTLE_SECONDS = 10.0
"""From a tenant's deletion to the end of its erasure at least: longer than any process goes on to believe in a key, and
than it takes every process to notice and to stop the tenant's runs. What they have written meanwhile goes as well."""
LEASE_SECONDS = 60.0
ROWS = 500
"""Removed in one transaction."""
TENANTS = 1000

_log = structlog.get_logger(__name__)


class _LeaseLost(Exception):
    """Another process is at it."""


class Eraser:
    """Every process has one: rows and streams are removed by whoever has the lease, files by each on its own disk."""

    def __init__(
        self,
        *,
        database: Database,
        coordination: Coordination,
        workspaces: Path,
        worker: str,
        on_deleted: Callable[[UUID], None],
        settle_seconds: float = SETTLE_SECONDS,
    ) -> None:
        """
        Args:
            workspaces: the directory of all workspaces, which need not be there.
            on_deleted: told once of each deleted tenant that is noticed here.
        """
        self._database = database
        self._coordination = coordination
        self._workspaces = workspaces
        self._worker = worker
        self._on_deleted = on_deleted
        self._settle_seconds = settle_seconds
        self._noticed: set[UUID] = set()
        self._wanted = asyncio.Event()
        self._swept_at: float | None = None
        coordination.signals.subscribe(self._hear)

    async def run(self) -> None:
        """Until cancelled. Survives whatever goes wrong."""
        while True:
            self._wanted.clear()
            try:
                await self.look()
            except Exception as error:
                _log.warning("erasure_failed", exc_info=not isinstance(error, RetinueError))
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_SECONDS):
                    await self._wanted.wait()

    async def look(self) -> None:
        """One round over all deleted tenants. One that cannot be erased is in no other one's way."""
        await self._sweep_if_due()
        async with self._database.operator(read_only=True) as unit:
            deleted = await unit.erasures.list(TENANTS)
        self._notice(deleted)
        ready = [tenant_id for tenant_id in deleted if await self._clear(tenant_id)]
        if ready:
            is_scrubbed = await self._database.scrub()
            for tenant_id in ready:
                await self._end(tenant_id, is_scrubbed=is_scrubbed)

    def _hear(self, signal: Signal) -> None:
        if signal.kind is SignalKind.TENANT:
            self._wanted.set()

    def _notice(self, deleted: Sequence[UUID]) -> None:
        for tenant_id in set(deleted) - self._noticed:
            self._on_deleted(tenant_id)
        self._noticed = set(deleted)

    async def _clear(self, tenant_id: UUID) -> bool:
        """Remove what there is; whether that was all, and nothing more can come."""
        try:
            await asyncio.to_thread(remove_workspace, self._workspaces, tenant_id)
            async with self._database.operator() as unit:
                erasure = await unit.erasures.take(tenant_id, self._worker, LEASE_SECONDS)
            if erasure is None:
                return False
            async with self._database.unit(tenant_id) as own:
                await own.erasure.forget_what_was_said()
            for table in ERASED:
                await self._remove_rows(tenant_id, table)
            await self._coordination.forget(tenant_id)
        except _LeaseLost:
            return False
        except Exception as error:
            is_known = isinstance(error, RetinueError | OSError)
            _log.warning("tenant_not_erased", tenant_id=str(tenant_id), exc_info=not is_known)
            return False
        return erasure.age >= self._settle_seconds

    async def _remove_rows(self, tenant_id: UUID, table: str) -> None:
        removed = ROWS
        while removed == ROWS:
            async with self._database.unit(tenant_id) as unit:
                if not await unit.erasure.keep_lease(self._worker, LEASE_SECONDS):
                    raise _LeaseLost
                removed = await unit.erasure.remove(table, ROWS)

    async def _end(self, tenant_id: UUID, *, is_scrubbed: bool) -> None:
        async with self._database.operator() as unit:
            erasure = await unit.erasures.end(tenant_id, self._worker)
            if erasure is None:
                return
            await unit.audit.record(
                "tenant.erased",
                object_type="tenant",
                object_id=str(tenant_id),
                payload={"removed": erasure.removed, "is_scrubbed": is_scrubbed},
                actor=SYSTEM,
            )
        _log.info("tenant_erased", tenant_id=str(tenant_id), rows=sum(erasure.removed.values()))

    async def _sweep_if_due(self) -> None:
        now = asyncio.get_running_loop().time()
        if self._swept_at is not None and now - self._swept_at < SWEEP_SECONDS:
            return
        self._swept_at = now
        await self._sweep()

    async def _sweep(self) -> None:
        """Remove workspaces of tenants that were deleted, as the audit trail says. Others are left alone: they may be
        those of another database.
        """
        here = await asyncio.to_thread(workspaces_in, self._workspaces)
        for start in range(0, len(here), TENANTS):
            names = [str(tenant_id) for tenant_id in here[start : start + TENANTS]]
            async with self._database.operator(read_only=True) as unit:
                deleted = await unit.audit.about("tenant.deleted", "tenant", names)
            for name in deleted:
                await asyncio.to_thread(remove_workspace, self._workspaces, UUID(name))
