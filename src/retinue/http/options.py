"""OPTIONS: which methods a path offers."""

from litestar import Litestar
from litestar.routes import HTTPRoute


def name_every_method(app: Litestar) -> None:
    """Make every path answer OPTIONS with all of its methods.

    Litestar's own answer names only those that were known when the first handler of the path was registered.
    """
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            _renew(app, route)


def _renew(app: Litestar, route: HTTPRoute) -> None:
    stale = next(handler for handler in route.route_handlers if handler.http_methods == {"OPTIONS"})
    fresh = route.create_options_handler(route.path)
    fresh.owner = stale.owner
    fresh.on_registration(app)
    route.route_handlers[route.route_handlers.index(stale)] = fresh
    route.route_handler_map["OPTIONS"] = (fresh, fresh.create_kwargs_model(path_parameters=route.path_parameters))
