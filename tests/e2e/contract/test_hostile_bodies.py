"""Bodies that nobody should send, to every route that takes one."""

import json
from typing import Any
from uuid import UUID

import msgspec
import pytest

from tests.e2e.contract.checked import CheckedClient
from tests.e2e.contract.description import Description
from tests.e2e.contract.routes import ROUTES, Place, Route, settle
from tests.e2e.contract.wire import RawAnswer, exchange, parse
from tests.support.server import RetinueServer

pytestmark = pytest.mark.slow

DEEP = 100_000
UNREADABLE = {
    "empty": b"",
    "blank": b"  \n",
    "a word": b"hello",
    "half an object": b'{"name": "A"',
    "trailing garbage": b"{} {}",
    "trailing comma": b'{"name": "A",}',
    "single quotes": b"{'name': 'A'}",
    "a comment": b"{} // nothing",
    "no value": b'{"name":}',
    "a key that is no string": b"{1: 2}",
    "NaN": b'{"name": NaN}',
    "Infinity": b'{"name": -Infinity}',
    "a leading zero": b'{"name": 012}',
    "an unknown escape": b'{"name": "\\x41"}',
    "half a surrogate escape": b'{"name": "\\ud8"}',
    "a raw control character": b'{"name": "\x01"}',
    "a raw NUL": b'{"name": "\x00"}',
    "only a NUL": b"\x00",
    "invalid UTF-8 in a value": b'{"name": "\xff\xfe"}',
    "invalid UTF-8 in a key": b'{"\xc3\x28": 1}',
    "an encoded surrogate": b'{"name": "\xed\xa0\x80"}',
    "overlong UTF-8": b'{"name": "\xc0\xaf"}',
    "UTF-16": '{"name": "A"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"name": "A"}',
    "100,000 open arrays": b"[" * DEEP,
    "100,000 nested arrays": b"[" * DEEP + b"]" * DEEP,
    "100,000 nested objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "depth inside a field": b'{"name": ' + b"[" * 500 + b"]" * 500 + b"}",
    "depth inside an unknown field": b'{"x": ' + b'{"y": [' * 500 + b"]}" * 500 + b"}",
    "gzip": b"\x1f\x8b\x08\x00\x00\x00\x00\x00",
}
NO_OBJECTS: dict[str, bytes] = {
    "null": b"null",
    "an array": b"[]",
    "an array of objects": b"[{}]",
    "a string": b'"text"',
    "a number": b"17",
    "a number beyond every range": b"1e400",
    "a boolean": b"true",
}
STRANGE_VALUES: tuple[bytes, ...] = (
    b"[[]]",
    b'{"x": {"y": 1}}',
    b"1e400",
    b"-1e400",
    b"1" + b"0" * 400,
    b"-1",
    b"1e-400",
    b"9223372036854775808",
    b"true",
    b'"\\u0000"',
    b'"\\ud800"',
    b'"' + b"x" * 200_000 + b'"',
    b"[1, null, {}]",
    b"null",
    b'""',
    b'" "',
    b"0.1",
)
ON_SQLITE = pytest.mark.parametrize("retinue", ["sqlite"], indirect=True)
"""For what is refused before there is anything to do for a database."""
OTHER_KINDS = (
    "text/plain",
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "application/xml",
    "application/json; charset=latin-1",
    "application/jsonp",
    "json",
    "",
    "*/*",
    "application/msgpack",
)


@pytest.fixture(params=ROUTES, ids=lambda route: f"{route.method} {route.template.removeprefix('/api/v1')}")
def route(request: pytest.FixtureRequest) -> Route:
    found: Route = request.param
    return found


@pytest.fixture
async def place(request: pytest.FixtureRequest, client: CheckedClient) -> Place:
    """A new one, to be changed."""
    return await settle(client, waits=_waits(request))


@pytest.fixture(scope="session")
def places(retinue: RetinueServer) -> dict[bool, Place]:
    """Of one server."""
    return {}


@pytest.fixture
async def kept(request: pytest.FixtureRequest, client: CheckedClient, places: dict[bool, Place]) -> Place:
    """One for many tests, which change nothing: all that they ask for is refused."""
    if (waits := _waits(request)) not in places:
        places[waits] = await settle(client, waits=waits)
    return places[waits]


def _waits(request: pytest.FixtureRequest) -> bool:
    route: Route | None = request.getfixturevalue("route") if "route" in request.fixturenames else None
    return route is not None and route.is_for_a_run_that_waits


def described(description: Description, route: Route, place: Place, answer: RawAnswer) -> None:
    """Hold an answer against the description; streams are judged elsewhere."""
    kind = answer.headers.get("content-type")
    if kind is None or "json" in kind:
        value = msgspec.json.decode(answer.body) if answer.body else None
        description.check(route.method, place.fill(route.template), answer.status, kind, value)


def object_of(description: Description, route: Route) -> dict[str, Any]:
    """The schema of the body, in the form that is an object."""
    operation = description.document["paths"][route.template][route.method.lower()]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    [reference] = [each["$ref"] for each in schema.get("anyOf", [schema]) if "$ref" in each]
    found: dict[str, Any] = description.document["components"]["schemas"][reference.rpartition("/")[2]]
    return found


def test_the_table_has_every_route_that_takes_a_body(description: Description) -> None:
    taking = {(method, path) for path, method, operation in description.operations() if "requestBody" in operation}
    assert taking == {(route.method, route.template) for route in ROUTES}


def test_the_accepted_bodies_have_every_field(description: Description) -> None:
    for route in ROUTES:
        assert {*route.fields, *route.ids} == set(object_of(description, route)["properties"]), route


def test_the_accepted_bodies_are_accepted(
    retinue: RetinueServer, description: Description, route: Route, place: Place
) -> None:
    answer = route.send_json(retinue, place, route.body(place))
    assert answer.status == route.status, answer
    described(description, route, place, answer)


@ON_SQLITE
def test_bodies_that_cannot_be_read(
    retinue: RetinueServer, description: Description, route: Route, kept: Place
) -> None:
    for name, body in UNREADABLE.items():
        if not body and route.is_optional:
            continue
        answer = route.send(retinue, kept, body)
        assert answer.status == 400, (name, answer)
        answer.problem(400, "malformed_body")
        described(description, route, kept, answer)


@ON_SQLITE
def test_bodies_that_are_no_objects(
    retinue: RetinueServer, description: Description, route: Route, place: Place
) -> None:
    for name, body in NO_OBJECTS.items():
        answer = route.send(retinue, place, body)
        if (name == "null" and route.is_optional) or (name == "a boolean" and route.refusal == "decision_not_boolean"):
            assert answer.status == route.status, (name, answer)
            continue
        assert answer.status in {400, 422}, (name, answer)
        answer.problem(answer.status, "malformed_body" if answer.status == 400 else route.refusal)
        described(description, route, place, answer)


@ON_SQLITE
def test_unknown_fields_are_refused(retinue: RetinueServer, route: Route, kept: Place) -> None:
    for name in ("nonsense", "id", "__class__", "a/b~c", "\ufffd", "", "naïve", "x" * 5000):
        answer = route.send_json(retinue, kept, {**route.body(kept), name: 1})
        answer.problem(422, route.refusal)
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        assert pointers(answer) == [pointer], answer


def pointers(answer: RawAnswer) -> list[str]:
    return [error["pointer"] for error in msgspec.json.decode(answer.body)["errors"]]


def test_missing_fields_are_named_all_at_once(
    retinue: RetinueServer, description: Description, route: Route, place: Place
) -> None:
    required = object_of(description, route).get("required", [])
    answer = route.send_json(retinue, place, {})
    if required:
        answer.problem(422, "validation_failed")
        assert sorted(pointers(answer)) == sorted(f"/{name}" for name in required)
    else:
        assert answer.status == route.status, answer
    for name in required:
        answer = route.send_json(
            retinue, place, {key: value for key, value in route.body(place).items() if key != name}
        )
        answer.problem(422, "validation_failed")
        assert pointers(answer) == [f"/{name}"]


def test_strange_values_in_every_field(
    retinue: RetinueServer, description: Description, route: Route, place: Place
) -> None:
    """Accepted, refused with a pointer to the field, or unreadable: nothing else."""
    for field in (*route.ids, *route.fields):
        for number, value in enumerate(STRANGE_VALUES):
            answer = route.send(retinue, place, replaced(route.body(place, number), field, value))
            assert answer.status in {200, 201, 400, 404, 409, 422, route.status}, (field, value[:50], answer)
            described(description, route, place, answer)
            if answer.status == 422:
                assert all(pointer.startswith(f"/{field}") for pointer in pointers(answer)), (field, value[:50], answer)


def replaced(body: dict[str, Any], field: str, value: bytes) -> bytes:
    rest = b"".join(b", " + json.dumps({name: each})[1:-1].encode() for name, each in body.items() if name != field)
    return b"{" + json.dumps(field).encode() + b": " + value + rest + b"}"


@ON_SQLITE
def test_of_a_key_that_occurs_twice_both_are_judged(retinue: RetinueServer, route: Route, kept: Place) -> None:
    field = next(iter(route.fields)).encode()
    body = json.dumps(route.body(kept)).encode()
    for doubled in (b'{"' + field + b'": {"bad": 1}, ' + body[1:], body[:-1] + b', "' + field + b'": {"bad": 1}}'):
        route.send(retinue, kept, doubled).problem(422, "validation_failed")


async def test_of_a_key_that_occurs_twice_the_last_counts(client: CheckedClient, place: Place) -> None:
    answer = await client.call("PATCH", f"/tenants/{place.tenant}", raw=b'{"name": "First", "name": "Last"}')
    assert answer.expect(200).json["name"] == "Last"


@ON_SQLITE
def test_bodies_that_are_too_large(retinue: RetinueServer, description: Description, route: Route, kept: Place) -> None:
    large = b'{"name": "' + b"x" * 1_048_576 + b'"}'
    announced = route.send(retinue, kept, large)
    announced.problem(413, "body_too_large")
    described(description, route, kept, announced)
    route.send(retinue, kept, b"{}", content_length="999999999999999999").problem(413, "body_too_large")
    head = (
        f"{route.method} {kept.fill(route.template)} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        f"x-api-key: {retinue.key}\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    ).encode()
    chunks = b"".join(b"10000\r\n" + b"x" * 0x10000 + b"\r\n" for _ in range(20)) + b"0\r\n\r\n"
    [answer] = parse(exchange(retinue.address, head + chunks))
    answer.problem(413, "body_too_large")


@ON_SQLITE
def test_other_media_types_are_refused(
    retinue: RetinueServer, description: Description, route: Route, kept: Place
) -> None:
    body = json.dumps(route.body(kept)).encode()
    for kind in OTHER_KINDS:
        answer = route.send(retinue, kept, body, content_type=kind)
        assert answer.status == 415, (kind, answer)
        answer.problem(415, "unsupported_media_type")
        described(description, route, kept, answer)


@pytest.mark.parametrize(
    "kind", ["application/json; charset=UTF-8", "APPLICATION/JSON", "application/merge-patch+json"]
)
def test_json_by_other_names_is_json(retinue: RetinueServer, place: Place, kind: str) -> None:
    route = ROUTES[0]
    assert route.send(retinue, place, json.dumps(route.body(place)).encode(), content_type=kind).status == 201


async def test_text_that_no_database_keeps_is_replaced(client: CheckedClient, place: Place) -> None:
    """NUL and lone surrogates become U+FFFD, the same on both databases."""
    dirty = rb'"a\u0000b\ud800c\udc00d \ud83c\udf75"'
    clean = "a\ufffdb\ufffdc\ufffdd 🍵"
    for method, path, field in (
        ("PATCH", f"/tenants/{place.tenant}", "name"),
        ("PATCH", f"/employees/{place.employee}", "system_prompt"),
        ("PATCH", f"/conversations/{place.conversation}", "title"),
        ("POST", f"/conversations/{place.conversation}/messages", "content"),
    ):
        answer = await client.call(method, path, raw=b'{"' + field.encode() + b'": ' + dirty + b"}")
        assert answer.expect(200).json[field] == clean
    assert (await client.messages(UUID(place.conversation)))[-1].content == clean
    listed = await client.get(f"/conversations?tenant_id={place.tenant}&user_id=user-1")
    assert listed.expect(200).json[0]["title"] == clean
