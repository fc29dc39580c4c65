"""The fake upstream on a loop of its own, for tests without one and for fixtures that outlive a test's loop."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from tests.support.upstream.recording import RecordedRequest
from tests.support.upstream.scenario import Scenario
from tests.support.upstream.server import FakeUpstream

T = TypeVar("T")


class ThreadedUpstream:
    """The same as `FakeUpstream` for callers from any thread; waiting blocks the caller."""

    def __init__(self, inner: FakeUpstream, loop: asyncio.AbstractEventLoop) -> None:
        self._inner, self._loop = inner, loop
        self.address = inner.address
        self.openai_url, self.anthropic_url, self.azure_url = inner.openai_url, inner.anthropic_url, inner.azure_url

    @property
    def requests(self) -> list[RecordedRequest]:
        return self._inner.requests

    def enqueue(self, *scenarios: Scenario) -> None:
        self._loop.call_soon_threadsafe(self._inner.enqueue, *scenarios)

    def release(self, name: str = "hold") -> None:
        self._loop.call_soon_threadsafe(self._inner.release, name)

    def wait_for_request(self, index: int = 0, *, within: float = 5) -> RecordedRequest:
        return self.run(self._inner.wait_for_request(index, within=within))

    def wait_for_close(self, index: int = 0, *, within: float = 5) -> RecordedRequest:
        return self.run(self._inner.wait_for_close(index, within=within))

    def check(self) -> None:
        """Complain about a scenario that was never asked for or could not be played."""
        self._inner.check()

    def reset(self) -> None:
        """Forget requests, queue and faults, so that tests can share one upstream."""
        self.run(self._forget())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _forget(self) -> None:
        self._inner.requests.clear()
        self._inner.faults.clear()
        self._inner._queue.clear()
        self._inner.close_gates()


@contextmanager
def upstream_in_thread(**options: Any) -> Iterator[ThreadedUpstream]:
    """A running upstream; stopped, and its thread joined, at the end."""
    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        inner = FakeUpstream(**options)
        loop.run_until_complete(inner.start())
        thread = threading.Thread(target=loop.run_forever, name="fake-upstream", daemon=True)
        thread.start()
        try:
            yield ThreadedUpstream(inner, loop)
        finally:
            asyncio.run_coroutine_threadsafe(inner.stop(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
