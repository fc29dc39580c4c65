"""Keeps this process's hold on its runs."""

import asyncio

import structlog

from retinue.db.session import Database
from retinue.domain.errors import RetinueError
from retinue.runs.lease import Lease, clock
from retinue.runs.supervisor import Supervisor

_log = structlog.get_logger(__name__)


async def keep_leases(database: Database, lease: Lease, supervisor: Supervisor) -> None:
    """Until cancelled: renew three times per lease. Survives whatever goes wrong."""
    while True:
        try:
            await renew_leases(database, lease, supervisor)
        except Exception as error:
            _log.warning("leases_not_renewed", exc_info=not isinstance(error, RetinueError))
        await asyncio.sleep(lease.seconds / 3)


async def renew_leases(database: Database, lease: Lease, supervisor: Supervisor) -> None:
    """Renew the leases of the runs here, and give up those that are somebody else's by now."""
    held = supervisor.runners
    async with database.operator() as operator:
        asked_at = clock()
        renewed = await operator.renew_leases(lease.owner, held.keys(), lease.seconds)
    supervisor.renew(renewed, asked_at)
    supervisor.lose(runner for run_id, runner in held.items() if run_id not in renewed)
