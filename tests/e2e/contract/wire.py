"""Bytes to the server and bytes back, for what no HTTP client would send."""

import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import NamedTuple

import msgspec

PATIENCE = 15.0


class RawAnswer(NamedTuple):
    status: int
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes

    def problem(self, status: int, code: str) -> None:
        assert self.status == status, self
        assert self.headers["content-type"] == "application/problem+json", self
        document = msgspec.json.decode(self.body)
        assert (document["status"], document["code"]) == (status, code), document


def fetch(
    address: str, method: str, target: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None
) -> RawAnswer:
    """One request on a connection of its own; nothing is added but what HTTP cannot do without."""
    lines = {"host": address, "connection": "close"}
    if body is not None:
        lines["content-length"] = str(len(body))
    lines |= headers or {}
    head = f"{method} {target} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    [answer] = parse(exchange(address, head.encode("latin-1") + b"\r\n" + (body or b"")), is_head=method == "HEAD")
    return answer


def exchange(address: str, data: bytes, *, finish: bool = False) -> bytes:
    """Send these bytes and read until the server closes. `finish` says that nothing more will be sent.

    Raises:
        TimeoutError: the server neither answers nor closes.
    """
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        received = b""
        # It may answer and close before everything has been sent.
        with suppress(ConnectionError):
            connection.sendall(data)
        if finish:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionError):
            while piece := connection.recv(65_536):
                received += piece
    return received


def parse(data: bytes, *, is_head: bool = False) -> list[RawAnswer]:
    """The answers in these bytes, informational ones left out. A chunked body is kept as it came and must be last."""
    answers: list[RawAnswer] = []
    while data:
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ")
        assert version in {"HTTP/1.1", "HTTP/1.0"}, first
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        is_chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        length = 0 if is_head else len(rest) if is_chunked else int(headers.get("content-length", 0))
        assert len(rest) >= length, (head, rest)
        if int(status) >= 200:
            answers.append(RawAnswer(int(status), headers, rest[:length]))
        data = rest[length:]
    return answers
