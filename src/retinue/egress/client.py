"""The HTTP client behind the guard."""

import ssl
from collections.abc import AsyncIterable, AsyncIterator
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx2

from retinue.egress.body import PIECE_BYTES
from retinue.egress.lookups import SystemResolver
from retinue.egress.network import GuardedNetwork, Resolver
from retinue.egress.policy import EgressPolicy
from retinue.egress.pool import Pool
from retinue.egress.sockets import Sockets
from retinue.egress.streams import Network

MAX_ERROR_BODY = 65_536
"""Bytes that are read of an answer that is not a success. SDKs read such bodies whole, so the bound sits here."""


class GuardedTransport(httpx2.AsyncBaseTransport):
    """HTTP/1.1 over connections behind `GuardedNetwork`, with bounded error bodies."""

    def __init__(
        self,
        policy: EgressPolicy,
        *,
        network: Network,
        resolve: Resolver,
        ssl_context: ssl.SSLContext,
        max_idle: int | None = None,
        idle_seconds: float | None = None,
    ) -> None:
        ssl_context.set_alpn_protocols(["http/1.1"])
        guarded = GuardedNetwork(policy, resolve, network)
        self._pool = Pool(guarded, ssl_context, max_idle=max_idle, idle_seconds=idle_seconds)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        connection = await self._pool.connection(request)
        response = await connection.ask(request)
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

    async def aclose(self) -> None:
        self._pool.close()


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


class _Client(httpx2.AsyncClient):
    """Has no credentials, follows no redirects and keeps no cookies: most requests need none of the layers for that."""

    def __init__(self, transport: GuardedTransport, timeout: httpx2.Timeout) -> None:
        super().__init__(
            transport=transport,
            trust_env=False,
            follow_redirects=False,
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=[])),
            timeout=timeout,
        )
        self._guarded = transport

    async def send(
        self,
        request: httpx2.Request,
        *,
        stream: bool = False,
        auth: Any = httpx2.USE_CLIENT_DEFAULT,
        follow_redirects: Any = httpx2.USE_CLIENT_DEFAULT,
    ) -> httpx2.Response:
        if not (stream and self._is_plain(request)) or _is_set(auth) or _is_set(follow_redirects):
            return await super().send(request, stream=stream, auth=auth, follow_redirects=follow_redirects)
        for hook in self.event_hooks["request"]:
            await hook(request)
        response = await self._guarded.handle_async_request(request)
        response.request = request
        return response

    def _is_plain(self, request: httpx2.Request) -> bool:
        has_more_to_do = self.is_closed or self.event_hooks["response"] or request.url.userinfo
        return not has_more_to_do and "timeout" in request.extensions


def _is_set(choice: object) -> bool:
    return bool(choice) and choice is not httpx2.USE_CLIENT_DEFAULT


def make_client(
    policy: EgressPolicy,
    *,
    connect_timeout: float = 10.0,
    write_timeout: float = 30.0,
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
        resolve: null for the operating system's resolver.
        ssl_context: null for the system's trust store, or what `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    """
    transport = GuardedTransport(
        policy,
        network=Sockets(),
        resolve=resolve or SystemResolver(),
        ssl_context=ssl_context or httpx2.create_ssl_context(),
        max_idle=max_idle_connections,
        idle_seconds=idle_seconds,
    )
    timeout = httpx2.Timeout(None, connect=connect_timeout, write=write_timeout, pool=connect_timeout)
    return _Client(transport, timeout)
