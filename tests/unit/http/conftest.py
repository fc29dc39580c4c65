"""A small application behind the real edge."""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

import msgspec
import pytest
from litestar import Litestar, Response, delete, get, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from litestar.testing import AsyncTestClient
from litestar.types import ASGIApp

from retinue.domain.access import Scope
from retinue.domain.audit import Actor, acting
from retinue.domain.errors import NotFound, ProviderRateLimited
from retinue.http.middleware import Edge, EdgeLimits
from retinue.http.parameters import knows_every_parameter
from retinue.http.problems import exception_handlers
from retinue.http.requests import EdgeRequest
from retinue.http.schemas import Name, RequestBody
from retinue.security.authentication import Authenticator
from retinue.security.guards import SCOPE, AccessGuard
from tests.unit.http.exchange import offered

LOCAL = "http://127.0.0.1"
"""Open mode answers to no other name."""
LIMITS = EdgeLimits(body_bytes=10_000, body_depth=16, body_seconds=0.2)


@pytest.fixture(params=[False, True], ids=["the long way", "the short way"])
def both_ways(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams of servers without an outlet, and with one."""
    monkeypatch.setitem(offered, "outlet", request.param)


class Persona(RequestBody, frozen=True, kw_only=True):
    tone: str | None = None


class Thing(RequestBody, frozen=True, kw_only=True):
    name: Name
    persona: Persona = Persona()
    tools: tuple[str, ...] = ()
    options: dict[str, Any] = msgspec.field(default_factory=dict)
    size: Annotated[int, msgspec.Meta(ge=1, le=9)] | None = None
    ratio: float = 0.0


@post("/things")
async def make_thing(data: JSONBody[Thing]) -> Thing:
    return data


@post("/maybe", status_code=200)
async def maybe_thing(data: JSONBody[Thing | None] = None) -> Thing | None:
    return data


@get("/things/{thing_id:uuid}")
async def read_thing(thing_id: FromPath[UUID]) -> str:
    raise NotFound


@delete("/things/{thing_id:uuid}")
async def delete_thing(thing_id: FromPath[UUID]) -> None:
    return None


@get("/list")
async def list_things(
    tenant_id: FromQuery[UUID],
    limit: Annotated[int, QueryParameter(ge=1, le=200)] = 50,
    text: FromQuery[str | None] = None,
) -> Response[list[str]]:
    return Response([str(tenant_id), str(limit), text or ""])


@get("/boom")
async def boom() -> str:
    raise RuntimeError("the database is at 10.0.0.7")


@get("/slow-provider")
async def slow_provider() -> str:
    raise ProviderRateLimited(retry_after=2.4)


@get("/acting", sync_to_thread=False)
def who_acts() -> Actor:
    return acting.get()


@get("/acting-in-public", public=True, sync_to_thread=False)
def who_acts_in_public() -> Actor:
    return acting.get()


@get("/who", sync_to_thread=False)
def who(request: EdgeRequest) -> str:
    return request.principal.kind


def knowing(operator_key: str) -> Authenticator:
    """Knows this key, and nobody whom it would have to look up."""
    nothing: Any = None
    return Authenticator(operator_key, nothing, nothing, nothing)


def small_app(operator_key: str | None = None) -> ASGIApp:
    handlers = [make_thing, maybe_thing, read_thing, delete_thing, list_things, boom, slow_provider, who]
    handlers += [who_acts, who_acts_in_public]
    app = Litestar(
        handlers,
        guards=[AccessGuard(None if operator_key is None else knowing(operator_key), then=knows_every_parameter)],
        opt={SCOPE: Scope.OPERATE},
        exception_handlers=exception_handlers(),
        request_class=EdgeRequest,
        openapi_config=None,
        logging_config=None,
    )
    return Edge(app, LIMITS)


@pytest.fixture
async def client() -> AsyncIterator[AsyncTestClient[Any]]:
    async with AsyncTestClient(small_app(), base_url=LOCAL) as client:
        yield client
