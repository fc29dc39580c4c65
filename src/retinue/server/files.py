"""How many files a process may have open. Every connection is one, those to databases and model providers, too."""

import resource
from contextlib import suppress

import structlog

from retinue.settings import Settings

OTHERS = 128
"""Open files besides connections: libraries, the log, databases of one file, commands of employees."""

_log = structlog.get_logger(__name__)


def within_open_files(settings: Settings) -> Settings:
    """With no more connections of clients than the process may have open files for, besides connections of its own.
    Raises what it may have as far as it can.
    """
    wanted, besides = settings.limits.connections, settings.runs.max_active + settings.database.pool_size + OTHERS
    files = _allowed(wanted + besides)
    if files >= wanted + besides:
        return settings
    connections = max(files - besides, files // 2)
    _log.warning("few_open_files", allowed=files, needed=wanted + besides, connections=connections)
    limits = settings.limits.model_copy(update={"connections": connections})
    return settings.model_copy(update={"limits": limits})


def _allowed(needed: int) -> int:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed and soft != resource.RLIM_INFINITY:
        raised = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        # A kernel may allow less than it says.
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return needed if soft == resource.RLIM_INFINITY else soft
