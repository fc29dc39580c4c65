"""Real server processes for tests: started in a group of their own, waited for, stopped, never left behind."""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


class DidNotStart(Exception):
    """Carries the end of the process's output."""


class ServerProcess:
    """A child process whose output goes to a file.

    On Linux it dies with the process that started it, even if that is killed.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: str | None = None,
    ) -> None:
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=env,
                cwd=cwd,
                user=user,
                start_new_session=True,
                preexec_fn=_die_with_parent,  # noqa: PLW1509
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, within: float) -> None:
        """Poll until it is ready.

        Raises:
            DidNotStart: it ended, or is not ready in time.
        """
        deadline = time.monotonic() + within
        while not ready():
            if not self.is_running or time.monotonic() > deadline:
                state = "is not ready" if self.is_running else f"ended with {self._process.returncode}"
                raise DidNotStart(f"{self._process.args!r} {state}; its output ends:\n{self.tail()}")
            time.sleep(0.02)

    def send(self, number: signal.Signals) -> None:
        if self.is_running:
            self._process.send_signal(number)

    def wait(self, *, within: float) -> int:
        """The exit status.

        Raises:
            subprocess.TimeoutExpired: it still runs.
        """
        return self._process.wait(within)

    def stop(self, *, by: signal.Signals = signal.SIGTERM, within: float = 10) -> int:
        """Ask it to end; after `within` seconds kill its whole group. Returns the exit status."""
        self.send(by)
        try:
            return self.wait(within=within)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        if self.is_running:
            os.killpg(self.pid, signal.SIGKILL)
        return self._process.wait()

    def tail(self, size: int = 8000) -> str:
        return self.log.read_text(errors="replace")[-size:]


def _die_with_parent() -> None:
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def folder_of_wheel(package: str) -> Path:
    """Where a wheel that carries binaries is installed; its Python code is not imported."""
    spec = find_spec(package)
    assert spec is not None, f"the development environment lacks {package}"
    assert spec.origin is not None
    return Path(spec.origin).parent


def free_port() -> int:
    """A loopback port that nobody listens on at this moment; whoever uses it must be ready to lose the race."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
