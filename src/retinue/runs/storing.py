"""Writing what must be written, in bad weather too."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import tenacity

from retinue.domain.errors import StorageFailed, Unavailable
from retinue.runs.trying import tried

T = TypeVar("T")

PATIENCE_SECONDS = 20.0
"""How long something that the database does not take is tried again."""


TEMPORARY = (Unavailable, StorageFailed)


async def persistently(write: Callable[[], Awaitable[T]]) -> T:
    """Try again while the database is away.

    Raises:
        Unavailable, StorageFailed: of the last try.
    """
    until = monotonic() + PATIENCE_SECONDS
    return await tried(write, _is_temporary, lambda: _patiently(until - monotonic()))


def _patiently(seconds: float) -> tenacity.AsyncRetrying:
    return tenacity.AsyncRetrying(
        stop=tenacity.stop_after_delay(seconds), wait=tenacity.wait_exponential_jitter(multiplier=0.1, max=2.0)
    )


def _is_temporary(error: BaseException) -> bool:
    return isinstance(error, TEMPORARY)
