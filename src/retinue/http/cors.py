"""Pages of other origins (WHATWG Fetch, CORS protocol): what a tenant has listed may read answers to its credentials.

There are no cookies, so nothing that a browser sends by itself opens anything; a page has to have the credential that
it sends. The operator's key is never for pages.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send

from retinue.domain.errors import RetinueError
from retinue.security.principal import Principal

IsListed = Callable[[str, UUID | None], Awaitable[bool]]
"""Whether a tenant has listed an origin; null: whether any tenant has."""

MAX_ORIGIN_LENGTH = 300
_VARY = (b"vary", b"Origin")
_PREFLIGHT = [
    (b"access-control-allow-methods", b"GET, POST, PUT, PATCH, DELETE"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Idempotency-Key, Last-Event-ID, X-API-Key, X-Request-ID",
    ),
    (b"access-control-max-age", b"600"),
]
EXPOSED = (
    b"Idempotency-Replayed, Link, RateLimit-Limit, RateLimit-Policy, RateLimit-Remaining, RateLimit-Reset, "
    b"Retry-After, WWW-Authenticate, X-Request-ID"
)


class Preflights:
    """Before the application: answers preflights. They carry no credentials, so nobody can tell yet whose answer is
    going to be asked for: any tenant's list counts. For other origins there is no answer that a browser would take.
    """

    def __init__(self, app: ASGIApp, is_listed: IsListed) -> None:
        self._app = app
        self._is_listed = is_listed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_preflight(scope) or not await _is_listed(self._is_listed, _origin(scope), None):
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


class Cors:
    """Around everything: marks answers that a page may read, also those that never came as far as the application."""

    def __init__(self, app: ASGIApp, is_listed: IsListed) -> None:
        self._app = app
        self._is_listed = is_listed

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == ScopeType.HTTP:
            send = _Marked(send, scope, self._may_read)
        return self._app(scope, receive, send)

    async def _may_read(self, scope: HTTPScope, origin: bytes | None) -> bool:
        """Whether the origin is listed by whoever asked. As long as nobody knows who that is, by any tenant, so that a
        page can tell an expired token from a broken network.
        """
        principal = scope.get("user")
        if not isinstance(principal, Principal) or principal.kind == "anonymous":
            return await _is_listed(self._is_listed, origin, None)
        return principal.tenant_id is not None and await _is_listed(self._is_listed, origin, principal.tenant_id)


class _Marked:
    """`send`, with the headers that let a page read the answer."""

    __slots__ = ("_may_read", "_scope", "_send")

    def __init__(
        self, send: Send, scope: HTTPScope, may_read: Callable[[HTTPScope, bytes | None], Awaitable[bool]]
    ) -> None:
        self._send, self._scope, self._may_read = send, scope, may_read

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers: list[tuple[bytes, bytes]] = [*message.get("headers", ()), _VARY]
            origin = _origin(self._scope)
            if origin is not None and await self._may_read(self._scope, origin):
                headers += [(b"access-control-allow-origin", origin), (b"access-control-expose-headers", EXPOSED)]
            message["headers"] = headers
        await self._send(message)


async def _is_listed(ask: IsListed, origin: bytes | None, tenant_id: UUID | None) -> bool:
    if origin is None or len(origin) > MAX_ORIGIN_LENGTH or not origin.isascii():
        return False
    try:
        return await ask(origin.decode("ascii"), tenant_id)
    except RetinueError:
        # The request itself says what is wrong.
        return False


def _is_preflight(scope: Scope) -> bool:
    return (
        scope["type"] == ScopeType.HTTP
        and scope["method"] == "OPTIONS"
        and any(name == b"access-control-request-method" for name, _ in scope["headers"])
    )


def _origin(scope: Any) -> bytes | None:
    """None if there is none, or more than one."""
    found = [value for name, value in scope["headers"] if name == b"origin"]
    return found[0] if len(found) == 1 else None
