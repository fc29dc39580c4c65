"""The one door: every route is closed unless it says who may come in."""

from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import BaseRoute, HTTPRoute, WebSocketRoute
from litestar.types import Scope as AnyScope

from retinue.domain.access import Scope
from retinue.domain.audit import acting
from retinue.domain.errors import Forbidden, NotFound, Unauthenticated
from retinue.security.attempts import Attempts
from retinue.security.authentication import Authenticator
from retinue.security.credentials import read_credential, refused
from retinue.security.loopback import require_loopback
from retinue.security.principal import ANONYMOUS, Principal

PUBLIC = "public"
"""The option that opens a route to everybody: `@get("/health", public=True)`."""
_OPTIONS = {"OPTIONS"}
"""Tells which methods a path has, to whoever has any credentials."""
SCOPE = "scope"
"""The option that says what a route asks for: `@get(scope=Scope.USAGE_READ)`. One without either is closed."""


Meter = Callable[[AnyScope, Principal], Awaitable[None]]
"""Counts what somebody asks for."""
Guard = Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], Awaitable[None]]


async def _does_nothing(_about: Any, _by: Any) -> None:
    pass


class AccessGuard:
    """Decides who asks and whether they may, before the body is read and before the handler runs.

    Give one instance to the application's `guards`; it applies to every route, also to ones added later. Without an
    authenticator (open mode) everybody on this machine is `ANONYMOUS` and credentials are not looked at.
    """

    def __init__(
        self,
        authenticator: Authenticator | None,
        *,
        meter: Meter = _does_nothing,
        attempts: Attempts | None = None,
        then: Guard = _does_nothing,
    ) -> None:
        """
        Args:
            meter: counts the request of whoever was let in; what it raises is the answer.
            attempts: counts wrong credentials.
            then: asked on every route when this one has nothing against it, on public ones, too. Litestar copies the
                whole handler for each guard that it knows of.
        """
        self._authenticator = authenticator
        self._meter = meter
        self._then = then
        self._attempts = attempts or Attempts(0)

    # A guard that is not a coroutine function would run in a thread.
    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Put the principal into the scope, and into the context for the audit trail.

        Raises:
            Unauthenticated: no credential, or a wrong one.
            BadRequest: two different credentials.
            RateLimited: too many requests, or too many wrong credentials from there.
            Forbidden: the credentials lack the route's scope. Or, in open mode: a host or an origin that is not this
                machine.
            NotFound: the path names another tenant.
        """
        if handler.opt.get(PUBLIC) is not True:
            await self._let_in(connection, handler)
        await self._then(connection, handler)

    async def _let_in(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        principal = await self._principal(connection.scope)
        connection.scope["user"] = principal
        acting.set(principal.actor(connection.scope["state"].get("request_id")))
        await self._meter(connection.scope, principal)
        if getattr(handler, "http_methods", None) != _OPTIONS:
            principal.require(_scope_of(handler))
        _require_own(principal, connection.path_params.get("tenant_id"))

    async def _principal(self, scope: AnyScope) -> Principal:
        headers = scope["headers"]
        if self._authenticator is None:
            require_loopback(headers)
            return ANONYMOUS
        credential = read_credential(headers)
        if credential is None:
            raise refused("Send a key as Authorization: Bearer, or as X-API-Key.")
        address = self._attempts.address_of(scope["client"], headers)
        self._attempts.refuse_if_many(address, credential)
        try:
            principal = await self._authenticator.principal(credential)
        except Unauthenticated:
            self._attempts.was_wrong(address)
            raise
        self._attempts.was_right(credential)
        return principal


def _scope_of(handler: BaseRouteHandler) -> Scope:
    scope = handler.opt.get(SCOPE)
    if not isinstance(scope, Scope):
        raise Forbidden("Nobody may use this route.")
    return scope


def _require_own(principal: Principal, named: Any) -> None:
    """Before anything is looked up: whether another tenant exists makes no difference, not even in time."""
    if named is not None and principal.tenant_id not in {None, named}:
        raise NotFound("There is no such tenant.")


def public_routes(app: Litestar) -> list[str]:
    """Every route that needs no credentials, as `GET /path`, sorted."""
    return sorted(
        f"{method} {route.path}"
        for route in app.routes
        for method, handler in _handlers(route)
        if handler.opt.get(PUBLIC) is True or not _is_guarded(handler)
    )


def scopes_of_routes(app: Litestar) -> dict[str, Scope | None]:
    """What each route that is not public asks for, by `GET /path`; None: it says nothing, and is closed to all."""
    return {
        f"{method} {route.path_format}": handler.opt.get(SCOPE)
        for route in app.routes
        for method, handler in _handlers(route)
        if handler.opt.get(PUBLIC) is not True and method != "OPTIONS"
    }


def _handlers(route: BaseRoute) -> list[tuple[str, BaseRouteHandler]]:
    if isinstance(route, HTTPRoute):
        return [(method, handler) for handler in route.route_handlers for method in sorted(handler.http_methods)]
    handler: BaseRouteHandler = route.route_handler  # type: ignore[attr-defined]
    return [("WS" if isinstance(route, WebSocketRoute) else "ASGI", handler)]


def _is_guarded(handler: BaseRouteHandler) -> bool:
    return any(isinstance(guard, AccessGuard) for guard in handler.resolve_guards())
