"""Notices that a client goes away while it waits for an answer that is no stream."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from litestar.types import Receive


@contextmanager
def watching(receive: Receive, on_gone: Callable[[], None]) -> Iterator[None]:
    """Call `on_gone` if the client's connection goes away inside the block. The body must have been read."""
    watcher = asyncio.create_task(_watch(receive, on_gone), name="disconnect")
    try:
        yield
    finally:
        watcher.cancel()


async def _watch(receive: Receive, on_gone: Callable[[], None]) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    on_gone()
