"""Several processes that share one listening socket, and the parent that keeps them alive.

The parent serves nothing itself. Its workers take connections from one queue, so that none waits for a worker that is
busy or gone.
"""

import asyncio
import socket
from collections.abc import Callable

import structlog

from retinue.domain.errors import RetinueError
from retinue.server.metrics import of_worker
from retinue.server.process import stop_within
from retinue.server.stop import Stop
from retinue.server.worker import REFUSED, Worker
from retinue.settings import Settings

RESTART_SECONDS = 0.5
"""Before a lost worker is replaced; doubled each time it does not last, up to the longest pause."""
MAX_RESTART_SECONDS = 15.0
LASTING_SECONDS = 60.0
MARGIN_SECONDS = 3.0

_log = structlog.get_logger(__name__)


class WorkerFailed(RetinueError):
    """A worker did not start, or did not end as it should."""


async def supervise(settings: Settings, listener: socket.socket, on_ready: Callable[[], None]) -> None:
    """Keep `settings.workers` workers alive until a signal says stop; return when all have ended.

    Raises:
        WorkerFailed: a worker could not start in the first place, or broke down while it stopped.
    """
    await _Supervisor(settings, listener, on_ready).run()


class _Supervisor:
    def __init__(self, settings: Settings, listener: socket.socket, on_ready: Callable[[], None]) -> None:
        self._settings, self._listener, self._on_ready = settings, listener, on_ready
        self._stop = Stop()
        self._workers: dict[int, Worker] = {}
        self._ready: set[int] = set()
        self._starting = asyncio.Lock()
        self._failure: str | None = None

    def _has_started(self) -> bool:
        return len(self._ready) == self._settings.workers

    async def run(self) -> None:
        self._stop.catch_signals(on_second=self._force)
        keepers = [asyncio.create_task(self._keep(number)) for number in range(1, self._settings.workers + 1)]
        await self._stop.wait()
        self._listener.close()
        for worker in self._workers.values():
            worker.terminate()
        await asyncio.wait(keepers, timeout=stop_within(self._settings.runs.drain_seconds) + MARGIN_SECONDS)
        for worker in self._workers.values():
            _log.error("worker_killed", pid=worker.pid)
            worker.kill()
        for keeper in keepers:
            await keeper
        if self._failure is not None:
            raise WorkerFailed(self._failure)

    def _force(self) -> None:
        for worker in self._workers.values():
            worker.kill()
        self._stop.force()

    async def _keep(self, number: int) -> None:
        """Have worker `number` until told to stop, and see it end."""
        loop, pause = asyncio.get_running_loop(), RESTART_SECONDS
        while not self._stop.is_asked():
            begun = loop.time()
            status = await self._have(number)
            if self._stop.is_asked():
                return
            pause = RESTART_SECONDS if loop.time() - begun > LASTING_SECONDS else pause
            _log.error("worker_lost", worker=number, status=status, restart_in=pause)
            await self._rest(pause)
            pause = min(2 * pause, MAX_RESTART_SECONDS)

    async def _have(self, number: int) -> int:
        """Run one worker process from its start to its end; returns its exit status."""
        try:
            async with self._starting:
                worker = await Worker.start(of_worker(self._settings, number), self._listener)
        except OSError as error:
            self._judge(f"A worker cannot be started: {error.strerror or error}.", REFUSED)
            return REFUSED
        self._workers[number] = worker
        if self._stop.is_asked():
            worker.terminate()
        try:
            refusal = await worker.ready()
            if refusal is None:
                self._note_ready(number, worker)
            status = await worker.wait()
        finally:
            del self._workers[number]
        self._judge(refusal, status)
        return status

    def _note_ready(self, number: int, worker: Worker) -> None:
        _log.info("worker_ready", worker=number, pid=worker.pid)
        if self._has_started():
            return
        self._ready.add(number)
        if self._has_started() and not self._stop.is_asked():
            self._on_ready()

    def _judge(self, refusal: str | None, status: int) -> None:
        """A worker that cannot even start ends everything at first, and is tried again later."""
        if refusal is None:
            if self._stop.is_asked() and status != 0:
                self._failure = f"A worker ended with status {status} while it stopped."
        elif self._has_started():
            _log.error("worker_refused", reason=refusal)
        elif not self._stop.is_asked():
            self._failure = refusal
            self._stop.ask()

    async def _rest(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stop.wait()
        except TimeoutError:
            return
