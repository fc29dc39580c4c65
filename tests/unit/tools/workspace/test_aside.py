"""Looks at commands and paths, and everybody else's threads, do not wait for each other."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from retinue.tools.workspace.aside import THREADS, aside
from tests.unit.tools.workspace.conftest import Site


@contextmanager
def closed_gate() -> Iterator[threading.Event]:
    """Opened in the end: the loop waits for its threads before any fixture gets its turn."""
    gate = threading.Event()
    try:
        yield gate
    finally:
        gate.set()


async def test_looks_do_not_use_up_the_threads_of_others() -> None:
    with closed_gate() as gate:
        looks = [asyncio.create_task(aside(gate.wait)) for _ in range(THREADS * 10)]
        async with asyncio.timeout(10):
            assert await asyncio.to_thread(lambda: "done") == "done"
        assert not any(look.done() for look in looks)
    await asyncio.gather(*looks)


async def test_looks_do_not_wait_for_the_threads_of_others(site: Site) -> None:
    with closed_gate() as gate:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(1))
        other = asyncio.create_task(asyncio.to_thread(gate.wait))
        await asyncio.sleep(0)  # so that it comes first
        async with asyncio.timeout(10):
            await site.assessed("shell_exec_safe", {"command": "cat notes.txt"})
            await site.assessed("file_read", {"path": "notes.txt"})
        assert not other.done()
    await other
