"""Ends runs that have waited for a person for too long."""

import asyncio

import structlog

from retinue.domain.errors import RetinueError
from retinue.runs.waiting.expiry import Expiry

_log = structlog.get_logger(__name__)


async def keep_expiring(expiry: Expiry, seconds: float) -> None:
    """Sweep every so many seconds until cancelled. Survives whatever goes wrong; any number of processes may do it."""
    while True:
        try:
            await expiry.sweep()
        except Exception as error:
            _log.warning("sweep_failed", exc_info=not isinstance(error, RetinueError))
        await asyncio.sleep(seconds)
