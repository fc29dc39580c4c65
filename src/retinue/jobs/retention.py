"""Removes what has been kept long enough."""

import asyncio
from uuid import UUID

import msgspec
import structlog

from retinue.db.session import Database
from retinue.domain.errors import RetinueError, Unavailable

_log = structlog.get_logger(__name__)

BATCH = 100


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """Seconds."""

    events: float
    """From the end of a run to the pruning of its events. Messages, tool log and usage are never pruned."""
    interval: float


async def keep_pruning(database: Database, retention: Retention) -> None:
    """Until cancelled: prune in every interval. Survives whatever goes wrong."""
    while True:
        try:
            if runs := await prune_events(database, retention.events):
                _log.info("run_events_pruned", runs=runs)
            await forget_idempotency_keys(database)
        except Exception as error:
            _log.warning("pruning_failed", exc_info=not isinstance(error, RetinueError))
        await asyncio.sleep(retention.interval)


async def prune_events(database: Database, older_than_seconds: float) -> int:
    """Reduce the logs of runs that ended so long ago to their last event. Returns how many.

    One that cannot be pruned is logged and left for the next time.
    """
    pruned = 0
    while True:
        async with database.operator(read_only=True) as operator:
            found = await operator.prunable_runs(older_than_seconds, BATCH)
        done = sum([await _prune(database, tenant_id, run_id) for tenant_id, run_id in found])
        pruned += done
        if len(found) < BATCH or not done:
            return pruned


async def _prune(database: Database, tenant_id: UUID, run_id: UUID) -> bool:
    try:
        async with database.unit(tenant_id) as unit:
            return await unit.runs.mark_pruned(run_id) and await unit.run_events.prune(run_id)
    except Unavailable:
        raise
    except Exception:
        _log.exception("run_not_pruned", run_id=str(run_id))
        return False


async def forget_idempotency_keys(database: Database) -> None:
    """Delete the keys whose time is over."""
    forgotten = BATCH
    while forgotten == BATCH:
        async with database.operator() as operator:
            forgotten = await operator.delete_expired_idempotency(BATCH)
