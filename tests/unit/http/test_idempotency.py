"""Idempotency keys, as far as no database is asked."""

from typing import Any
from uuid import UUID

import msgspec
import pytest
from litestar import Litestar, Response, post
from litestar.params import FromPath, JSONBody
from litestar.types import ASGIApp

from retinue.domain.access import Scope
from retinue.http.decoding import decode_body
from retinue.http.idempotency import KeyHeader, Replay, answer_with, digest_of, key_of
from retinue.http.middleware import Edge, EdgeLimits
from retinue.http.problems import exception_handlers
from retinue.http.requests import EdgeRequest
from retinue.security.guards import SCOPE, AccessGuard
from tests.unit.http.conftest import Persona, Thing
from tests.unit.http.test_edge import call, chunk, scope

THING = "01890000-0000-7000-8000-00000000000a"


@post(["/things/{thing_id:uuid}/parts", "/plain"])
async def make(
    request: EdgeRequest, data: JSONBody[Thing], thing_id: FromPath[UUID | None] = None, key: KeyHeader = None
) -> Response[Any]:
    del thing_id
    return Response(key_of(request, key, data))


def edge() -> ASGIApp:
    app = Litestar(
        [make],
        guards=[AccessGuard(None)],
        opt={SCOPE: Scope.OPERATE},
        exception_handlers=exception_handlers(),
        request_class=EdgeRequest,
        openapi_config=None,
        logging_config=None,
    )
    return Edge(app, EdgeLimits())


async def key(path: str, *given: str) -> Any:
    """What the handler makes of these header lines."""
    headers = [(b"idempotency-key", value.encode("latin-1")) for value in given]
    answer = await call(edge(), scope("POST", path, headers), [chunk(b'{"name":"a"}', more=False)])
    return msgspec.json.decode(answer.body)


async def test_without_the_header_there_is_no_key() -> None:
    assert await key("/plain") is None


@pytest.mark.parametrize("given", ["k", "!~", '"8e03978e-40d5-43dd-bc93-6894a57f9324"', "null", "k" * 255])
async def test_a_key_is_taken_as_it_is(given: str) -> None:
    assert (await key("/plain", given))["key"] == given


@pytest.mark.parametrize("given", ["", " ", "a b", "k" * 256, "ü", "a\tb", "\x7f"])
async def test_what_is_no_key_is_refused(given: str) -> None:
    problem = await key("/plain", given)
    assert (problem["status"], problem["code"]) == (422, "invalid_idempotency_key")
    assert problem["errors"][0]["parameter"] == "Idempotency-Key"


async def test_several_keys_are_none() -> None:
    problem = await key("/plain", "a", "b")
    assert (problem["status"], problem["code"]) == (422, "invalid_idempotency_key")
    assert (await key("/plain", "a", "a"))["key"] == "a"


async def test_the_route_is_the_concrete_one_however_it_is_spelled() -> None:
    assert (await key("/plain", "k"))["route"] == "POST /plain"
    expected = f"POST /things/{THING}/parts"
    for path in (f"/things/{THING}/parts", f"/things/{THING.upper()}/parts", f"/things/{THING}/parts/"):
        assert (await key(path, "k"))["route"] == expected


def test_equal_requests_have_equal_digests() -> None:
    bodies = [
        b'{"name": "a", "options": {"x": 1, "y": [2, 3]}}',
        b'{ "options" :{"y":[2,3],"x":1}, "name":"\\u0061"}',
        b'{"name": "a", "options": {"x": 1, "y": [2, 3]}, "ratio": 0, "size": null, "tools": [], "persona": {}}',
    ]
    assert len({digest_of(decode_body(body, Thing, max_depth=9)) for body in bodies}) == 1


def test_different_requests_have_different_digests() -> None:
    things = [
        Thing(name="a"),
        Thing(name="b"),
        Thing(name="a", size=1),
        Thing(name="a", persona=Persona(tone="dry")),
        Thing(name="a", tools=("x", "y")),
        Thing(name="a", tools=("y", "x")),
        Thing(name="a", options={"size": 1}),
        None,
    ]
    digests = {digest_of(thing) for thing in things}
    assert len(digests) == len(things)
    assert all(len(digest) == 64 for digest in digests)


def test_a_field_that_is_added_some_day_changes_no_digest() -> None:
    later = msgspec.defstruct("Thing", [("added", int, 5)], bases=(Thing,), frozen=True, kw_only=True)
    assert digest_of(later(name="a", size=3)) == digest_of(Thing(name="a", size=3))
    assert digest_of(later(name="a", added=6)) != digest_of(Thing(name="a"))


def test_a_replay_is_the_same_to_the_byte_and_says_so() -> None:
    first = answer_with(Thing(name="ü", ratio=1.0))
    second: Response[Any] = answer_with(Replay(first.content))  # type: ignore[arg-type]
    assert first.content == second.content
    assert first.media_type == second.media_type == "application/json"
    assert "Idempotency-Replayed" not in first.headers
    assert second.headers["Idempotency-Replayed"] == "true"
