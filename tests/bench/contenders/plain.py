"""The limit, its leaner form, and the obvious service: they need nothing but a path."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.bench.contenders.base import TURNS, Contender, post, refuse_incomplete, running
from tests.bench.load import Told
from tests.bench.machine import Cores
from tests.bench.plan import Plan
from tests.support.processes import ServerProcess


class Plain:
    def __init__(
        self, name: str, process: ServerProcess, port: int, *, path: str, body: Callable[[Plan], bytes]
    ) -> None:
        self.name, self.port, self.pids = name, port, [process.pid]
        self._path, self._body = path, body
        self._turns: Counter[int] = Counter()

    async def prepare(self, clients: int, turns: int) -> None:
        """Nothing has to exist."""

    def ask(self, client: int, plan: Plan) -> bytes:
        path = self._path.format(f"{client}-{self._turns[client] // TURNS}")
        self._turns[client] += 1
        return post(path, self._body(plan))

    def check(self, told: Told, plan: Plan) -> None:
        refuse_incomplete(told, plan, b"[DONE]")

    async def lag(self) -> None:
        """It does not tell."""


@contextmanager
def relaying(name: str, folder: Path, upstream: int, cores: Cores) -> Iterator[Contender]:
    """`relay` or `floor`."""
    with running(folder, _command(name, str(upstream)), cores.server) as (process, port):
        yield Plain(name, process, port, path="/", body=lambda plan: str(plan).encode())


@contextmanager
def obvious(folder: Path, upstream: int, database: str, cores: Cores) -> Iterator[Contender]:
    with running(folder, _command("obvious", str(upstream), database), cores.server) as (process, port):
        path = "/conversations/{}/messages/stream"
        yield Plain("obvious", process, port, path=path, body=lambda plan: b'{"content": "%b"}' % str(plan).encode())


def _command(service: str, *words: str) -> Sequence[str]:
    return [sys.executable, "-m", f"tests.bench.services.{service}", *words]
