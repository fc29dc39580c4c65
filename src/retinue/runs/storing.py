"""Writing what must be written, in bad weather too."""

from collections.abc import Awaitable, Callable
from time import monotonic
from typing import TypeVar

import tenacity

from retinue.domain.errors import RetinueError, StorageFailed, Unavailable

T = TypeVar("T")

PATIENCE_SECONDS = 20.0
"""How long something that the database does not take is tried again."""


TEMPORARY = (Unavailable, StorageFailed)


async def persistently(write: Callable[[], Awaitable[T]]) -> T:
    """Try again while the database is away.

    Raises:
        Unavailable, StorageFailed: of the last try.
    """
    begun_at = monotonic()
    try:
        return await write()
    except TEMPORARY as error:
        return await _again(write, error, PATIENCE_SECONDS - (monotonic() - begun_at))


async def _again(write: Callable[[], Awaitable[T]], failure: RetinueError, seconds: float) -> T:
    """The first try has failed. It was made without tenacity, which takes longer than most tries."""
    failed: list[RetinueError] = [failure]
    async for attempt in tenacity.AsyncRetrying(
        stop=tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_exponential_jitter(multiplier=0.1, max=2.0),
        retry=tenacity.retry_if_exception_type(TEMPORARY),
        reraise=True,
    ):
        with attempt:
            if failed:
                raise failed.pop()
            return await write()
    raise AssertionError("tenacity returns or raises")
