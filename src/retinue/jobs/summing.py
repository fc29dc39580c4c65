"""Adds up the calls that were closed, so that whoever asks for usage need not read them all."""

import asyncio

import structlog

from retinue.db.session import Database
from retinue.domain.errors import RetinueError

_log = structlog.get_logger(__name__)

BATCH = 200
"""Calls in one transaction. On SQLite nobody else writes meanwhile."""


async def keep_summing(database: Database, seconds: float) -> None:
    """In every interval, until cancelled. Survives whatever goes wrong; any number of processes may do it."""
    while True:
        try:
            await sum_up(database)
        except Exception as error:
            _log.warning("summing_failed", exc_info=not isinstance(error, RetinueError))
        await asyncio.sleep(seconds)


async def sum_up(database: Database) -> int:
    """Add all closed calls to the sums that are in none; how many they were.

    Each batch is a transaction of its own, and one process at a time does it: whoever comes second leaves it to the
    first.
    """
    async with database.operator(read_only=True) as operator:
        if not await operator.usage.is_behind():
            return 0
    summed, added = 0, BATCH
    while added == BATCH:
        async with database.operator() as operator:
            added = await operator.usage.add_calls(BATCH)
        summed += added
    return summed
