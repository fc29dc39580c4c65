"""Every route is closed, but for a short list."""

import re
from typing import Any

import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from retinue.security.guards import AccessGuard, public_routes
from tests.contract.http.api import Calls, client_of, make_litestar

KEY = "the-operator-key"
PUBLIC = [
    "GET /api/v1/health",
    "GET /api/v1/health/ready",
    "GET /openapi.json",
    "GET /schema/openapi.json",
]


@pytest.fixture
def app() -> Litestar:
    nothing: Any = None
    return make_litestar(nothing, nothing, Calls(), operator_key=KEY)


def test_the_list_of_public_routes(app: Litestar) -> None:
    found = public_routes(app)
    print("\n".join(["public routes:", *found]))  # noqa: T201
    assert found == PUBLIC


async def test_every_other_route_asks_for_a_key(app: Litestar) -> None:
    """Checked from outside, so that the list above cannot lie."""
    asked = 0
    async with client_of(app) as http:
        for route in app.routes:
            assert isinstance(route, HTTPRoute)
            path = re.sub(r"{\w+}", "01890000-0000-7000-8000-000000000000", route.path_format)
            for method in route.methods:
                response = await http.request(method, path)
                is_public = f"{method} {route.path}" in PUBLIC
                assert (response.status_code == 401) is not is_public, f"{method} {path}"
                asked += 1
    assert asked > 25


def test_the_guard_stands_before_every_handler(app: Litestar) -> None:
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            assert any(isinstance(guard, AccessGuard) for guard in handler.resolve_guards()), str(handler)
