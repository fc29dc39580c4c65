"""Writing what must be written, in bad weather too."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import tenacity

from retinue.domain.errors import StorageFailed, Unavailable

T = TypeVar("T")

PATIENCE_SECONDS = 20.0
"""How long something that the database does not take is tried again."""


async def persistently(write: Callable[[], Awaitable[T]]) -> T:
    """Try again while the database is away.

    Raises:
        Unavailable, StorageFailed: of the last try.
    """
    async for attempt in tenacity.AsyncRetrying(
        stop=tenacity.stop_after_delay(PATIENCE_SECONDS),
        wait=tenacity.wait_exponential_jitter(multiplier=0.1, max=2.0),
        retry=tenacity.retry_if_exception_type((Unavailable, StorageFailed)),
        reraise=True,
    ):
        with attempt:
            return await write()
    raise AssertionError("tenacity returns or raises")
