"""Servers that start in a moment: forked from a process that has already imported everything.

Importing the vendors' SDKs takes seconds, which a suite that kills its server hundreds of times cannot spend. The fork
runs the same command line in a session of its own; only the imports are inherited.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.leaks import refuse_leaks
from tests.support.processes import DidNotStart, ServerProcess, _die_with_parent, free_port
from tests.support.server import START_WITHIN, RetinueServer

ROOT = Path(__file__).parents[2]


class Template:
    """The process to fork from."""

    def __init__(self, log: Path) -> None:
        self._one_at_a_time = threading.Lock()
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.support.fork_template"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=output,
                cwd=ROOT,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509
            )

    def start(self, arguments: Sequence[str], *, env: Mapping[str, str], cwd: Path, log: Path) -> int:
        """Run `retinue` with these arguments; returns the process id, which is also its group's."""
        started: int = self._order({"start": arguments, "env": dict(env), "cwd": str(cwd), "log": str(log)})
        return started

    def poll(self, pid: int) -> int | None:
        """The exit status, negative for a signal; None while it runs. Once told, it is forgotten."""
        status: int | None = self._order({"poll": pid})
        return status

    def close(self) -> None:
        """End the template; what was forked from it dies with it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(10)
        self._process.stdout.close()

    def _order(self, order: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._one_at_a_time:
            self._process.stdin.write(msgspec.json.encode(order) + b"\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        assert answer, "the template process is gone"
        return msgspec.json.decode(answer)


class ForkedProcess(ServerProcess):
    """A process that was forked from a template."""

    def __init__(
        self, template: Template, arguments: Sequence[str], *, log: Path, env: Mapping[str, str], cwd: Path
    ) -> None:
        self.log = log
        self._template = template
        self._pid = template.start(arguments, env=env, cwd=cwd, log=log)
        self._status: int | None = None

    @property
    def pid(self) -> int:
        return self._pid

    @property
    def is_running(self) -> bool:
        if self._status is None:
            self._status = self._template.poll(self._pid)
        return self._status is None

    def wait_until(self, ready: Callable[[], bool], *, within: float) -> None:
        deadline = time.monotonic() + within
        while not ready():
            if not self.is_running or time.monotonic() > deadline:
                state = "is not ready" if self.is_running else f"ended with {self._status}"
                raise DidNotStart(f"the server {state}; its output ends:\n{self.tail()}")
            time.sleep(0.01)

    def send(self, number: signal.Signals) -> None:
        if self.is_running:
            os.kill(self._pid, number)

    def send_group(self, number: signal.Signals) -> None:
        """Signal the process and everything that it has started."""
        if self.is_running:
            os.killpg(self._pid, number)

    def wait(self, *, within: float) -> int:
        deadline = time.monotonic() + within
        while self.is_running:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("retinue", within)
            time.sleep(0.005)
        assert self._status is not None
        return self._status

    def kill(self) -> int:
        if self.is_running:
            os.killpg(self._pid, signal.SIGKILL)
        return self.wait(within=10)


class ForkedServer(RetinueServer):
    """A running server that costs little to start again. `process` is replaced with every start."""

    process: ForkedProcess

    def __init__(self, template: Template, folder: Path, environment: Mapping[str, str]) -> None:
        self._template = template
        super().__init__(folder, environment, free_port())

    def _start(self) -> ForkedProcess:
        log = self.folder / "retinue.log"
        return ForkedProcess(self._template, ["serve"], log=log, env=self.environment, cwd=self.folder)

    def start_soon(self) -> None:
        """Start again without waiting until it is ready."""
        assert not self.process.is_running
        self.process = self._start()


@contextmanager
def forked_retinue(template: Template, folder: Path, environment: Mapping[str, str]) -> Iterator[ForkedServer]:
    """A server that is ready, on a database with the newest schema; gone at the end, however it has fared."""
    folder.mkdir(exist_ok=True)
    server = ForkedServer(template, folder, environment)
    try:
        server.wait_until_ready(within=START_WITHIN)
        yield server
    finally:
        with suppress(ProcessLookupError):
            server.process.send_group(signal.SIGCONT)
        server.process.kill()
    refuse_leaks(server)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """What servers and commands of a test process are forked from."""
    running = Template(tmp_path_factory.mktemp("template") / "log")
    yield running
    running.close()
