"""The HTTP client behind the guard."""

import ssl
from collections.abc import AsyncIterable, AsyncIterator
from functools import partial
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpcore2
import httpx2

from retinue.egress.body import PIECE_BYTES
from retinue.egress.http1 import Http1Connection
from retinue.egress.lookups import SystemResolver
from retinue.egress.network import GuardedBackend, Resolver
from retinue.egress.policy import EgressPolicy
from retinue.egress.sockets import SocketBackend

MAX_ERROR_BODY = 65_536
"""Bytes that are read of an answer that is not a success. SDKs read such bodies whole, so the bound sits here."""


class GuardedTransport(httpx2.AsyncHTTPTransport):
    """The standard transport with its connections behind `GuardedBackend` and bounded error bodies."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        limits: httpx2.Limits,
        resolve: Resolver,
        ssl_context: ssl.SSLContext,
        network: httpcore2.AsyncNetworkBackend,
    ) -> None:
        super().__init__(verify=ssl_context, trust_env=False, limits=limits)
        self._pool = _Pool(GuardedBackend(policy, resolve, network), ssl_context, limits)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await super().handle_async_request(request)
        if response.is_success or not isinstance(response.stream, httpx2.AsyncByteStream):
            return response
        headers = httpx2.Headers(response.headers)
        # A compressed body of 64 KiB can hold gigabytes: without its header it is only text nobody can read.
        headers.pop("content-encoding", None)
        headers.pop("content-length", None)
        return httpx2.Response(
            response.status_code,
            headers=headers,
            stream=_Head(response.stream, MAX_ERROR_BODY),
            extensions=response.extensions,
        )


class _Pool(httpcore2.AsyncConnectionPool):
    """The standard pool, of connections that speak HTTP/1.1 only."""

    def __init__(
        self, network: httpcore2.AsyncNetworkBackend, ssl_context: ssl.SSLContext, limits: httpx2.Limits
    ) -> None:
        super().__init__(
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
        )
        ssl_context.set_alpn_protocols(["http/1.1"])
        self._make = partial(Http1Connection, network, ssl_context, limits.keepalive_expiry)

    def create_connection(self, origin: httpcore2.Origin) -> httpcore2.AsyncConnectionInterface:
        return self._make(origin)


class _Head(httpx2.AsyncByteStream):
    """The first bytes of a stream, and no more pieces than they would be worth."""

    def __init__(self, stream: AsyncIterable[bytes], limit: int) -> None:
        self._stream = stream
        self._limit = limit

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left, pieces = self._limit, self._limit // PIECE_BYTES
        async for chunk in self._stream:
            yield chunk[:left]
            left -= len(chunk)
            pieces -= 1
            if min(left, pieces) <= 0:
                return

    async def aclose(self) -> None:
        if isinstance(self._stream, httpx2.AsyncByteStream):
            await self._stream.aclose()


def make_client(
    policy: EgressPolicy,
    *,
    connect_timeout: float = 10.0,
    write_timeout: float = 30.0,
    max_connections: int | None = None,
    max_idle_connections: int = 100,
    idle_seconds: float = 30.0,
    resolve: Resolver | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> httpx2.AsyncClient:
    """The client for URLs that somebody else chose. Make one per process and close it at the end.

    It takes no proxy, no credentials and no other setting from the environment, keeps no cookies (they would travel
    from one tenant to the next), and follows no redirect. Reading has no timeout: the caller owns the deadlines.

    Args:
        connect_timeout: seconds for resolving and connecting, and again for the TLS handshake.
        max_connections: null for no bound: runs are bounded before they reach the network.
        resolve: null for the operating system's resolver.
        ssl_context: null for the system's trust store, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    """
    limits = httpx2.Limits(
        max_connections=max_connections,
        max_keepalive_connections=max_idle_connections,
        keepalive_expiry=idle_seconds,
    )
    transport = GuardedTransport(
        policy,
        limits=limits,
        resolve=resolve or SystemResolver(),
        ssl_context=ssl_context or httpx2.create_ssl_context(),
        network=SocketBackend(),
    )
    return httpx2.AsyncClient(
        transport=transport,
        trust_env=False,
        follow_redirects=False,
        cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
        timeout=httpx2.Timeout(None, connect=connect_timeout, write=write_timeout, pool=connect_timeout),
    )
