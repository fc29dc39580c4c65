# ruff: noqa: ARG002, ASYNC109 - the signatures are those of the real network
"""An internet in memory: names, addresses, pages, and a list of every connection that was made."""

import asyncio
import socket
import ssl
from collections import Counter

import httpx2

from retinue.egress import EgressPolicy
from retinue.egress.client import GuardedTransport
from retinue.egress.streams import Network, Stream

CLOSED = EgressPolicy()
PUBLIC = "93.184.216.34"
PUBLIC6 = "2606:2800:220:1:248:1893:25c8:1946"


def answer(status: str = "200 OK", *headers: str, body: bytes = b"hello", kind: str = "text/plain") -> bytes:
    """An HTTP/1.1 response in full."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", f"Content-Type: {kind}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def redirect(location: str, status: str = "302 Found") -> bytes:
    return answer(status, f"Location: {location}", body=b"")


class Internet(Network):
    """Serves what `pages` says, by host and path as the request names them; whatever else answers `hello`.

    A page of None is silent for ever. `names` gives a host's answers for the first resolution, the second and so on;
    an unlisted host resolves to a public address. TLS is left out: who is spoken to is what counts here.
    """

    def __init__(
        self,
        pages: dict[str, bytes | None] | None = None,
        names: dict[str, list[list[str]]] | None = None,
        *,
        packet: int = 4096,
    ) -> None:
        """
        Args:
            packet: bytes that come at once, as over a network.
        """
        self.pages = pages or {}
        self.names = names or {}
        self.packet = packet
        self.resolved: Counter[str] = Counter()
        self.dialled: list[str] = []
        self.heads: list[str] = []
        self.unread = 0
        """Bytes that were served and not asked for."""

    def client(self, policy: EgressPolicy = CLOSED) -> httpx2.AsyncClient:
        """A client whose every way out leads here."""
        transport = GuardedTransport(
            policy,
            resolve=self.resolve,
            ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),
            network=self,
            max_idle=10,
            idle_seconds=5.0,
        )
        return httpx2.AsyncClient(transport=transport, trust_env=False, timeout=5.0)

    async def resolve(self, host: str, port: int) -> list[str]:
        self.resolved[host] += 1
        answers = self.names.get(host, [[PUBLIC]])
        found = answers[min(self.resolved[host], len(answers)) - 1]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return found

    async def connect(self, host: str, port: int, timeout: float | None = None) -> Stream:
        self.dialled.append(host)
        return _Connection(self)

    @property
    def paths(self) -> list[str]:
        """Of the requests that came, with their hosts."""
        return [_place(head) for head in self.heads]


class _Connection(Stream):
    def __init__(self, internet: Internet) -> None:
        self._internet = internet
        self._sent = b""
        self._answer: bytes | None = b""

    async def write(self, data: bytes, timeout: float | None = None) -> None:
        self._sent += data
        head, end, rest = self._sent.partition(b"\r\n\r\n")
        if end:
            self._sent = rest
            self._internet.heads.append(head.decode())
            self._answer = self._internet.pages.get(_place(head.decode()), answer())
            self._internet.unread += len(self._answer or b"")

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._answer is None:
            await asyncio.get_running_loop().create_future()
        assert self._answer is not None
        size = min(max_bytes, self._internet.packet)
        chunk, self._answer = self._answer[:size], self._answer[size:]
        self._internet.unread -= len(chunk)
        return chunk

    async def start_tls(self, context: ssl.SSLContext, name: str, timeout: float | None = None) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def is_readable(self) -> bool:
        return bool(self._answer)


def _place(head: str) -> str:
    lines = head.split("\r\n")
    host = next(line.partition(":")[2].strip() for line in lines if line.lower().startswith("host:"))
    return host + lines[0].split(" ")[1]
