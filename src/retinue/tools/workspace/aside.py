"""Threads for looks at commands and paths, apart from those that everybody else shares."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import TypeVar

THREADS = 4

_Found = TypeVar("_Found")

_threads = ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix="workspace-look")


async def aside(look: Callable[..., _Found], *arguments: object) -> _Found:
    """What the look returns or raises. Slow ones make other looks wait, and nothing else."""
    work = partial(copy_context().run, look, *arguments)
    return await asyncio.get_running_loop().run_in_executor(_threads, work)
