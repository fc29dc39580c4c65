"""What a scenario knows of a service."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from socket import socket
from typing import Protocol

from tests.bench.lag import Lag
from tests.bench.load import Told, Wrong
from tests.bench.machine import pin
from tests.bench.plan import Plan
from tests.support.processes import ServerProcess, free_port

TURNS = 10
"""Turns of one conversation; then its client begins a new one."""


class Contender(Protocol):
    """A running service."""

    @property
    def name(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def pids(self) -> Sequence[int]:
        """Of the processes whose costs count."""

    async def prepare(self, clients: int, turns: int) -> None:
        """Make whatever has to exist before so many clients take so many more turns each."""

    def ask(self, client: int, plan: Plan) -> bytes:
        """The next turn of a client: a whole HTTP request."""

    def check(self, told: Told, plan: Plan) -> None:
        """Refuse a wrong answer.

        Raises:
            Wrong: it is one.
        """

    async def lag(self) -> Lag | None:
        """Of its event loop, since it was started; None if it does not tell."""


def post(path: str, body: bytes, headers: str = "") -> bytes:
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\n{headers}"
    return head.encode() + b"content-length: %d\r\n\r\n%b" % (len(body), body)


def refuse_incomplete(told: Told, plan: Plan, end: bytes) -> None:
    """Every token must have come, and the service must have said that this is the end.

    Raises:
        Wrong: it is not so.
    """
    if told.status != 200 or len(told.transits) != plan.tokens or end not in told.tail:
        raise Wrong(f"{told.status}, {len(told.transits)} of {plan.tokens} tokens; it ends {told.tail[-500:]!r}")


@contextmanager
def running(folder: Path, command: Sequence[str], cores: frozenset[int]) -> Iterator[tuple[ServerProcess, int]]:
    """A process that listens on the port that is appended to its command; ended afterwards."""
    port = free_port()
    process = ServerProcess([*command, str(port)], log=folder / f"{port}.log")
    try:
        process.wait_until(lambda: _listens(port), within=30)
        pin(process.pid, cores)
        yield process, port
    finally:
        process.stop()


def _listens(port: int) -> bool:
    with socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0
