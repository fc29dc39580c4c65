"""Trying again."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import tenacity

T = TypeVar("T")
MayPass = Callable[[BaseException], bool]
"""Whether it is worth while to try again after this."""


async def tried(
    work: Callable[[], Awaitable[T]], may_pass: MayPass, retrying: Callable[[], tenacity.AsyncRetrying]
) -> T:
    """Do it, and again if it failed with what may pass. The first try is made without tenacity, which takes longer than
    most work; it counts all the same.

    Args:
        retrying: when to try again and when to stop; asked for once something has failed.

    Raises:
        Exception: of the last try.
    """
    try:
        return await work()
    except Exception as error:
        if not may_pass(error):
            raise
        failed = [error]
    async for attempt in retrying().copy(retry=tenacity.retry_if_exception(may_pass), reraise=True):
        with attempt:
            if failed:
                raise failed.pop()
            return await work()
    raise AssertionError("tenacity returns or raises")
