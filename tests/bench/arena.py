"""Where the contenders stand: their upstream, their databases, their cores."""

import os
import resource
import sys
from contextlib import AbstractContextManager, ExitStack
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.bench.contenders import Contender, Retinue, obvious, relaying, retinue
from tests.bench.contenders.base import running
from tests.bench.machine import Cores, pin
from tests.support.databases import Postgres, running_postgres
from tests.support.redis import running_redis
from tests.support.roles import superuser_url

FLOOR, RELAY, OBVIOUS, SQLITE, POSTGRESQL = "floor", "relay", "obvious", "retinue-sqlite", "retinue-postgresql"
CONTENDERS = (FLOOR, RELAY, OBVIOUS, SQLITE, POSTGRESQL)
DURABLE = {
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "autovacuum": "on",
    "shared_buffers": "512MB",
}
"""The test suite's server keeps nothing through a crash; this one is as a server that is relied on."""


class Arena:
    """Starts what is asked for when it is first asked for; `close` ends everything."""

    def __init__(self, stack: ExitStack, cores: Cores) -> None:
        """
        Args:
            stack: what it ends at its exit.
        """
        self.cores, self._stack = cores, stack
        _allow_many_connections()
        pin(os.getpid(), cores.rest)  # and with it all that is started from here on, but for the servers
        self._folder = Path(stack.enter_context(TemporaryDirectory(prefix="retinue-bench-")))
        command = [sys.executable, "-m", "tests.bench.services.upstream"]
        _, self.upstream = stack.enter_context(running(self._folder, command, cores.rest))
        self._postgres: Postgres | None = None
        self._shared: dict[str, Contender] = {}
        self._numbers = count()

    @property
    def postgres(self) -> Postgres:
        if self._postgres is None:
            self._postgres = self._stack.enter_context(running_postgres(**DURABLE))
        return self._postgres

    async def shared(self, name: str) -> Contender:
        """The contender that all scenarios use that do not need one of their own."""
        if name not in self._shared:
            self._shared[name] = await self.open(self._stack, name)
        return self._shared[name]

    async def open(self, stack: ExitStack, name: str, **options: Any) -> Contender:
        """One more of these, until the stack is closed.

        Args:
            options: of Retinue; `database` for one that is there already.
        """
        contender = stack.enter_context(self._running(name, stack, **options))
        if isinstance(contender, Retinue):
            await contender.open()
        return contender

    def versions(self) -> dict[str, str]:
        """Of what was needed and comes from no package of Python's."""
        return {} if self._postgres is None else {"postgresql": self._postgres.execute("SHOW server_version")}

    def redis(self, stack: ExitStack) -> str:
        """The URL of a new one."""
        return stack.enter_context(running_redis()).url

    def _running(self, name: str, stack: ExitStack, **options: Any) -> AbstractContextManager[Contender]:
        (folder := self._folder / f"{next(self._numbers)}-{name}").mkdir()
        if name in {FLOOR, RELAY}:
            return relaying(name, folder, self.upstream, self.cores)
        database = options.pop("database", None) or self._database(name, folder, stack)
        if name == OBVIOUS:
            return obvious(folder, self.upstream, superuser_url(database), self.cores)
        return retinue(name, folder, self.upstream, database, self.cores, **options)

    def _database(self, name: str, folder: Path, stack: ExitStack) -> str:
        if name == SQLITE:
            return f"sqlite+aiosqlite:///{folder / 'retinue.db'}"
        return stack.enter_context(self.postgres.database())


def _allow_many_connections() -> None:
    """For this process and those that it starts."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
