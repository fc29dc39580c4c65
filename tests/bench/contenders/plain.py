"""The limit and the obvious service: both need nothing but a path."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.bench.contenders.base import TURNS, Contender, post, refuse_incomplete, running
from tests.bench.load import Told
from tests.bench.plan import Plan
from tests.support.processes import ServerProcess


class Plain:
    def __init__(
        self, name: str, process: ServerProcess, port: int, body: Callable[[Plan], bytes], path: str, end: bytes
    ) -> None:
        self.name, self.port, self.pids = name, port, [process.pid]
        self._body, self._path, self._end = body, path, end
        self._turns: Counter[int] = Counter()

    async def prepare(self, clients: int, turns: int) -> None:
        """Nothing has to exist."""

    def ask(self, client: int, plan: Plan) -> bytes:
        path = self._path.format(f"{client}-{self._turns[client] // TURNS}")
        self._turns[client] += 1
        return post(path, self._body(plan))

    def check(self, told: Told, plan: Plan) -> None:
        refuse_incomplete(told, plan, self._end)


@contextmanager
def relay(folder: Path, upstream: int) -> Iterator[Contender]:
    command = [sys.executable, "-m", "tests.bench.services.relay", str(upstream)]
    with running(folder, command) as (process, port):
        yield Plain("relay", process, port, lambda plan: str(plan).encode(), "/", b"[DONE]")


@contextmanager
def obvious(folder: Path, upstream: int, database: str) -> Iterator[Contender]:
    command = [sys.executable, "-m", "tests.bench.services.obvious", str(upstream), database]
    with running(folder, command) as (process, port):
        path = "/conversations/{}/messages/stream"
        yield Plain("obvious", process, port, lambda plan: b'{"content": "%b"}' % str(plan).encode(), path, b"[DONE]")
