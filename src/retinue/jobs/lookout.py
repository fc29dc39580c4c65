"""Looks for runs that need a process: lost ones, and queued ones that nobody started."""

import asyncio
from collections.abc import Callable

import structlog

from retinue.db.session import Database
from retinue.domain.errors import RetinueError
from retinue.runs.dispatcher import Dispatcher
from retinue.runs.lease import Lease
from retinue.runs.limiting.book import LimitsBook
from retinue.runs.lost_calls import close_orphaned_calls
from retinue.runs.supervisor import Supervisor
from retinue.runs.switchboard import Switchboard
from retinue.runs.wakes import Wakes

_log = structlog.get_logger(__name__)

INTERVAL_SECONDS = 1.0
BATCH = 200
"""Runs that one round looks at. More than a frozen process can lock with one write."""
ORPHANS_EVERY = 10
"""Rounds between two searches for ledger rows that nobody will close."""


class Lookout:
    """Every replica has one. Signals make it look sooner; without them it finds everything within its interval."""

    def __init__(
        self,
        *,
        database: Database,
        lease: Lease,
        supervisor: Supervisor,
        dispatcher: Dispatcher,
        switchboard: Switchboard,
        wakes: Wakes,
        limits: LimitsBook,
        is_alone: bool,
        hears_others: Callable[[], bool],
    ) -> None:
        """
        Args:
            is_alone: no other process serves the database.
            hears_others: whether signals of other processes arrive.
        """
        self._database = database
        self._lease = lease
        self._supervisor = supervisor
        self._dispatcher = dispatcher
        self._switchboard = switchboard
        self._rounds = 0
        self._is_alone = is_alone
        self._hears_others = hears_others
        self._wakes = wakes
        self._limits = limits
        self._heard = True

    async def run(self) -> None:
        """Look until cancelled. Survives whatever goes wrong."""
        while True:
            self._switchboard.look_around.clear()
            try:
                await self.look()
            except Exception as error:
                _log.warning("lookout_failed", exc_info=not isinstance(error, RetinueError))
            try:
                async with asyncio.timeout(INTERVAL_SECONDS):
                    await self._switchboard.look_around.wait()
            except TimeoutError:
                pass

    async def look(self) -> None:
        """One round."""
        if self._rounds == 0 and self._is_alone:
            await self._inherit()
        self._wake_the_deaf()
        if self._supervisor.active_ids:
            await self._cancel_what_was_asked()
        if self._supervisor.room:
            await self._take_lost_runs()
            await self._start_queued_runs()
        if self._rounds % ORPHANS_EVERY == 0 and (closed := await close_orphaned_calls(self._database, self._lease)):
            _log.warning("orphaned_calls_closed", calls=closed)
        self._rounds += 1

    def _wake_the_deaf(self) -> None:
        """While other processes cannot be heard, and once after that, who waits for a signal looks for himself."""
        heard, self._heard = self._heard, self._hears_others()
        if not (heard and self._heard):
            self._wakes.wake_all()

    async def _inherit(self) -> None:
        """Where there is only one process, runs of other ones are runs of its predecessors: no need to wait."""
        async with self._database.operator() as operator:
            if runs := await operator.expire_leases_of_others(self._lease.owner):
                _log.info("runs_inherited", runs=runs)

    async def _take_lost_runs(self) -> None:
        async with self._database.operator(read_only=True) as operator:
            lost = await operator.active_runs_with_expired_lease(BATCH, self._limits.defaults)
        resumed = 0
        for tenant_id, run_id in lost:
            # Our own that we were late to renew is not lost unless somebody else has taken it.
            if run_id in self._supervisor.active_ids:
                continue
            if not self._supervisor.room:
                return
            _log.warning("lost_run_found", run_id=str(run_id))
            try:
                resumed += await self._dispatcher.resume(tenant_id, run_id)
            except Exception:
                # It comes again with the next round, and must not be in the way of those behind it.
                _log.exception("lost_run_not_resumed", run_id=str(run_id))
        if resumed == BATCH:
            self._switchboard.look_around.set()  # there may be more

    async def _start_queued_runs(self) -> None:
        async with self._database.operator(read_only=True) as operator:
            startable = await operator.startable_conversations(BATCH, self._limits.defaults)
        for tenant_id in {tenant_id for tenant_id, _ in startable}:
            self._dispatcher.was_crowded(tenant_id)
        for tenant_id, conversation_id in startable:
            if not self._supervisor.room:
                return
            if self._dispatcher.is_crowded(tenant_id):
                continue
            try:
                await self._dispatcher.start_next(tenant_id, conversation_id)
            except Exception:
                _log.exception("queue_not_started", conversation_id=str(conversation_id))

    async def _cancel_what_was_asked(self) -> None:
        """A signal may get lost, or come before the run is here: the wish to cancel is found in the database, too."""
        async with self._database.operator(read_only=True) as operator:
            asked = await operator.cancel_requests(self._supervisor.active_ids)
        self._supervisor.cancel_asked(asked)
