"""Every route has an entry, and every entry a route: nothing can be added that is not attacked."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar, WebSocket, get, websocket
from litestar.routes import HTTPRoute

from retinue.app import Application
from retinue.http.openapi import ApiInfo, build_document
from retinue.observability.redaction import Redactor
from retinue.proving import ProvingFailed
from retinue.proving.description import gaps, operations_of
from retinue.proving.entries import ENTRIES
from retinue.proving.entry import Entry
from retinue.proving.owners import require_all
from retinue.proving.things import Things
from retinue.settings import load
from tests.unit.test_app import let_go

INFO = ApiInfo(title="Retinue", version="0", description="", tags={})
READ_RUN = "GET /api/v1/runs/{run_id}"


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[Litestar]:
    settings = load(environ={"RETINUE_DATABASE_URL": f"sqlite+aiosqlite:///{tmp_path / 'retinue.db'}"})
    application = Application(settings, Redactor())
    yield application.litestar
    await let_go(application)


@pytest.fixture
def document(app: Litestar) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(build_document(app, INFO)))
    return found


def routes_of(app: Litestar) -> set[str]:
    """Everything that is answered, also what the description does not know."""
    found = set()
    for route in app.routes:
        if not isinstance(route, HTTPRoute):
            found.add(f"{type(route).__name__} {route.path}")
            continue
        methods = {method for handler in route.route_handlers for method in handler.http_methods}
        found |= {f"{method} {route.path_format}" for method in methods | ({"HEAD"} if "GET" in methods else set())}
    return found


async def test_every_route_has_an_entry_and_every_entry_a_route(app: Litestar) -> None:
    assert routes_of(app) ^ {entry.name for entry in ENTRIES} == set()


async def test_entries_agree_with_what_the_server_says_of_itself(document: dict[str, Any]) -> None:
    assert gaps(ENTRIES, operations_of(document)) == []


async def test_a_route_that_was_added_is_noticed(app: Litestar) -> None:
    @get("/api/v1/secrets/{secret_id:uuid}", sync_to_thread=False)
    def read_secret() -> None: ...

    @websocket("/ws")
    async def talk(socket: WebSocket[Any, Any, Any]) -> None: ...

    grown = Litestar([read_secret, talk], openapi_config=None)
    assert {"GET /api/v1/secrets/{secret_id}", "WebSocketRoute /ws"} <= routes_of(grown)
    assert any(gap.endswith("the prover has no entry for it") for gap in gaps((), operations_of(build(grown))))


def build(app: Litestar) -> dict[str, Any]:
    return build_document(app, INFO)


async def test_a_parameter_that_was_added_is_noticed(document: dict[str, Any]) -> None:
    read_run = document["paths"]["/api/v1/runs/{run_id}"]["get"]
    for place, name in (("query", "as_user"), ("header", "X-Tenant")):
        read_run["parameters"].append({"in": place, "name": name})
    assert gaps(ENTRIES, operations_of(document)) == [
        f"{READ_RUN}: no entry knows the parameter X-Tenant in the header",
        f"{READ_RUN}: no entry knows the parameter as_user in the query",
    ]


async def test_a_field_that_was_added_is_noticed(document: dict[str, Any]) -> None:
    nested = {"type": "object", "properties": {"from": {"type": "string", "format": "uuid"}}}
    schema = document["components"]["schemas"]["MessageCreate"]
    schema["properties"] |= {"reply_to_id": {"type": "string"}, "quotes": {"type": "array", "items": nested}}
    name = "POST /api/v1/conversations/{conversation_id}/messages"
    assert gaps(ENTRIES, operations_of(document)) == [
        f"{name}: no entry knows the field quotes/0/from of the body",
        f"{name}: no entry knows the field reply_to_id of the body",
    ]


async def test_a_route_that_is_gone_is_noticed(document: dict[str, Any]) -> None:
    del document["paths"]["/api/v1/runs/{run_id}"]
    assert gaps(ENTRIES, operations_of(document)) == [f"{READ_RUN}: the server has no such operation"]


async def test_a_parameter_that_is_gone_is_noticed(document: dict[str, Any]) -> None:
    listing = document["paths"]["/api/v1/audit/verify"]["get"]
    listing["parameters"] = [each for each in listing["parameters"] if each["name"] != "tenant_id"]
    assert gaps(ENTRIES, operations_of(document)) == [
        "GET /api/v1/audit/verify: there is no parameter tenant_id in the query"
    ]


def test_what_is_answered_to_an_owner_is_said_or_left_out_for_a_reason() -> None:
    silent = {entry.label for entry in ENTRIES if entry.is_described and not entry.found}
    assert silent == {
        "POST /api/v1/tenants",
        "PUT /api/v1/tenants/{tenant_id}/limits",
        "DELETE /api/v1/tenants/{tenant_id}",
        "GET /api/v1/conversations/{conversation_id}/events (open)",
        "POST /api/v1/runs/{run_id}/continue/stream (with a decision)",
    }


def test_an_entry_about_things_that_nobody_makes_is_noticed() -> None:
    made = Things(tenant=("t",))
    require_all([Entry(method="GET", path="/{tenant_id}", query={"cursor": "cursor"}, key="taken")], made)
    for entry in (
        Entry(method="GET", path="/{secret_id}"),
        Entry(method="GET", path="/", query={"secret_id": "secret"}),
        Entry(method="POST", path="/", body={"secret": "{secret}"}),
    ):
        with pytest.raises(ProvingFailed, match="not made for the proof"):
            require_all([entry], made)


def test_labels_are_unique() -> None:
    labels = [entry.label for entry in ENTRIES]
    assert len(labels) == len(set(labels))


def test_a_request_is_filled() -> None:
    entry = Entry(
        method="POST",
        path="/things/{tenant_id}",
        body={"list": [{"id": "{run}"}], "slug": "{slug}", "text": "said"},
        own={"slug": "fresh"},
        query={"after": "event"},
        key="taken",
    )
    own = Things(tenant=("t",), run=("r",), slug=("s",))
    places = {place.name: place for place in entry.places()}
    ask = entry.ask(own, {places["list/0/id"]: "another", places["after"]: "event", places["Idempotency-Key"]: "key"})
    assert (ask.path, ask.query, ask.headers) == ("/things/t", {"after": "event"}, {"Idempotency-Key": "key"})
    assert ask.body["list"] == [{"id": "another"}]
    assert ask.body["text"] == "said"
    assert ask.body["slug"].startswith("fresh-")
    assert ask.names == ("t", "event", "another", ask.body["slug"], "key")
