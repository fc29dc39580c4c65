"""The one door: every route is closed unless it says that it is public."""

from typing import Any

from litestar import Litestar
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.routes import BaseRoute, HTTPRoute, WebSocketRoute

from retinue.domain.audit import acting
from retinue.security.credentials import KeyDigest, read_credential, refused
from retinue.security.loopback import require_loopback
from retinue.security.principal import ANONYMOUS, OPERATOR, Principal

PUBLIC = "public"
"""The option that opens a route: `@get("/health", public=True)`."""


class AccessGuard:
    """Decides who asks, before the body is read and before the handler runs.

    Give one instance to the application's `guards`; it applies to every route, also to ones added later. Without an
    operator key (open mode) everybody on this machine is `ANONYMOUS` and credentials are not looked at.
    """

    def __init__(self, operator_key: str | None) -> None:
        self._operator_key = KeyDigest(operator_key) if operator_key is not None else None

    # A guard that is not a coroutine function would run in a thread.
    async def __call__(self, connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
        """Put the principal into the scope, and into the context for the audit trail.

        Raises:
            Unauthenticated: no credential, or a wrong one.
            BadRequest: two different credentials.
            Forbidden: open mode, and a host or an origin that is not this machine.
        """
        if handler.opt.get(PUBLIC) is True:
            return
        principal = self._principal(connection.scope["headers"])
        connection.scope["user"] = principal
        acting.set(principal.actor(connection.scope["state"].get("request_id")))

    def _principal(self, headers: Any) -> Principal:
        if self._operator_key is None:
            require_loopback(headers)
            return ANONYMOUS
        credential = read_credential(headers)
        if credential is None:
            raise refused("Send the operator key as Authorization: Bearer, or as X-API-Key.")
        if not self._operator_key.matches(credential):
            raise refused("This key is not valid.")
        return OPERATOR


def public_routes(app: Litestar) -> list[str]:
    """Every route that needs no credentials, as `GET /path`, sorted."""
    return sorted(
        f"{method} {route.path}"
        for route in app.routes
        for method, handler in _handlers(route)
        if handler.opt.get(PUBLIC) is True or not _is_guarded(handler)
    )


def _handlers(route: BaseRoute) -> list[tuple[str, BaseRouteHandler]]:
    if isinstance(route, HTTPRoute):
        return [(method, handler) for handler in route.route_handlers for method in sorted(handler.http_methods)]
    handler: BaseRouteHandler = route.route_handler  # type: ignore[attr-defined]
    return [("WS" if isinstance(route, WebSocketRoute) else "ASGI", handler)]


def _is_guarded(handler: BaseRouteHandler) -> bool:
    return any(isinstance(guard, AccessGuard) for guard in handler.resolve_guards())
