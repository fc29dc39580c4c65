"""A Redis that can be killed, frozen and emptied."""

import signal
import socket
from pathlib import Path

from tests.support.processes import ServerProcess, free_port
from tests.support.redis import BINARY, answers


class BreakableRedis:
    """A Redis without persistence that keeps its port over restarts."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start, empty. Returns as soon as it answers."""
        options = {"port": self.port, "bind": "127.0.0.1", "dir": self._folder, "save": "", "appendonly": "no"}
        words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
        self._process = ServerProcess([str(BINARY), *words], log=self._folder / "log")
        self._process.wait_until(lambda: answers(self.port), within=10)

    def kill(self) -> None:
        self.thaw()
        self._process.kill()

    def freeze(self) -> None:
        """It keeps its connections and says nothing."""
        self._process.send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._process.send(signal.SIGCONT)

    def command(self, *words: str) -> list[bytes]:
        """The answer to a command as its bulk strings and words, flattened."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock, sock.makefile("rb") as lines:
            parts = [word.encode() for word in words]
            sock.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%b\r\n" % (len(part), part) for part in parts))
            return list(_flat(lines))


def _flat(lines: object) -> list[bytes]:
    line = lines.readline()[:-2]  # type: ignore[attr-defined]
    match line[:1]:
        case b"*":
            return [item for _ in range(int(line[1:])) for item in _flat(lines)]
        case b"$":
            size = int(line[1:])
            return [b""] if size < 0 else [lines.read(size + 2)[:-2]]  # type: ignore[attr-defined]
        case b"-":
            raise AssertionError(line.decode())
        case _:
            return [line[1:]]
