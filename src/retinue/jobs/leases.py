"""Keeps this process's hold on its runs, and ends the runs of processes that lost theirs."""

import asyncio

import structlog

from retinue.db.session import Database
from retinue.domain.errors import RetinueError
from retinue.runs.lease import Lease
from retinue.runs.recovery import close_orphaned_calls, end_lost_runs
from retinue.runs.supervisor import Supervisor

_log = structlog.get_logger(__name__)


async def keep_leases(database: Database, lease: Lease, supervisor: Supervisor) -> None:
    """Until cancelled: three times per lease, renew our own and look for expired ones. Survives whatever goes wrong."""
    while True:
        try:
            await tend(database, lease, supervisor)
        except Exception as error:
            _log.warning("leases_not_tended", exc_info=not isinstance(error, RetinueError))
        await asyncio.sleep(lease.seconds / 3)


async def tend(database: Database, lease: Lease, supervisor: Supervisor) -> None:
    """Renew first: a process that was slow must not take its own runs for lost."""
    held = supervisor.active_ids
    async with database.operator() as operator:
        renewed = await operator.renew_leases(lease.owner, held, lease.seconds)
    supervisor.lose(held - renewed)
    if ended := await end_lost_runs(database, lease):
        _log.warning("lost_runs_ended", runs=ended)
    if closed := await close_orphaned_calls(database, lease):
        _log.warning("orphaned_calls_closed", calls=closed)
