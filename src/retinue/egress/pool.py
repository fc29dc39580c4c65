"""Connections that are open, to be used again."""

import ssl
import time
from collections import defaultdict
from functools import partial
from typing import NamedTuple

import httpx2

from retinue.egress.http1 import Http1Connection
from retinue.egress.policy import DEFAULT_PORTS
from retinue.egress.streams import Network


class _Origin(NamedTuple):
    scheme: str
    host: str
    """As it goes onto the wire: names in ASCII, addresses without brackets."""
    port: int


class Pool:
    """Gives each request a connection of its own: one that is idle, or a new one. There is no bound on those in use.

    A request costs the same however many connections there are.
    """

    def __init__(
        self, network: Network, ssl_context: ssl.SSLContext, *, max_idle: int | None, idle_seconds: float | None
    ) -> None:
        """
        Args:
            max_idle: of all origins together; null for no bound.
            idle_seconds: null for as long as the server wants.
        """
        self._network = network
        self._ssl_context = ssl_context
        self._max_idle = max_idle
        self._idle_seconds = idle_seconds
        self._idle: dict[Http1Connection, tuple[_Origin, float]] = {}
        """Since when, the longest first."""
        self._by_origin: dict[_Origin, list[Http1Connection]] = defaultdict(list)
        self._is_closed = False

    async def connection(self, request: httpx2.Request) -> Http1Connection:
        """The one that was used last, if there is one.

        Raises:
            httpx2.UnsupportedProtocol
            EgressRefused, httpx2.ConnectError, httpx2.ConnectTimeout: see `GuardedNetwork`.
        """
        origin = _origin_of(request.url)
        self._close_old()
        while connections := self._by_origin.get(origin):
            connection = connections[-1]
            self._take(connection)
            if not connection.has_goodbye:
                return connection
            connection.close()
        return await self._connect(origin, request.extensions.get("timeout", {}).get("connect"))

    async def _connect(self, origin: _Origin, timeout: float | None) -> Http1Connection:  # noqa: ASYNC109
        stream = await self._network.connect(origin.host, origin.port, timeout)
        if origin.scheme == "https":
            await stream.start_tls(self._ssl_context, origin.host, timeout)
        return Http1Connection(stream, partial(self._keep, origin))

    def _keep(self, origin: _Origin, connection: Http1Connection) -> None:
        if self._is_closed:
            connection.close()
            return
        self._idle[connection] = origin, time.monotonic()
        self._by_origin[origin].append(connection)
        self._close_old()

    def _close_old(self) -> None:
        now = time.monotonic()
        while self._idle:
            connection, (_, since) = next(iter(self._idle.items()))
            is_surplus = self._max_idle is not None and len(self._idle) > self._max_idle
            if not is_surplus and (self._idle_seconds is None or now - since <= self._idle_seconds):
                return
            self._take(connection)
            connection.close()

    def _take(self, connection: Http1Connection) -> None:
        origin, _ = self._idle.pop(connection)
        connections = self._by_origin[origin]
        connections.remove(connection)
        if not connections:
            del self._by_origin[origin]

    def close(self) -> None:
        """Close those that are idle, and the others as soon as their answers are read."""
        self._is_closed = True
        for connection in list(self._idle):
            self._take(connection)
            connection.close()


def _origin_of(url: httpx2.URL) -> _Origin:
    port = url.port or DEFAULT_PORTS.get(url.scheme)
    if port is None:
        raise httpx2.UnsupportedProtocol(f"There is no {url.scheme}:// here, only HTTP.")
    return _Origin(url.scheme, url.raw_host.decode("ascii"), port)
