"""The document describes what the API does, all of it and nothing else."""

import asyncio
import re
import threading
from collections.abc import Iterator
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from litestar import Litestar
from litestar.routes import HTTPRoute

from retinue.domain import employees, tenants
from retinue.http.openapi import ApiInfo, build_document, controller
from retinue.http.openapi.components import Components, field_docstrings
from retinue.protocols import events
from retinue.protocols.messages import MessagesProtocol, frames
from retinue.security.guards import scopes_of_routes
from tests.contract.http.api import INFO, Calls, Client, client_of, make_litestar

FRAMES = MessagesProtocol.frames
Document = dict[str, Any]


@pytest.fixture(scope="module")
def app() -> Litestar:
    nothing: Any = None
    return make_litestar(nothing, nothing, Calls(), operator_key="key")


@pytest.fixture(scope="module")
def document(app: Litestar) -> Document:
    document = build_document(app, msgspec.structs.replace(INFO, events=FRAMES))
    parsed: Document = msgspec.json.decode(msgspec.json.encode(document))
    return parsed


def operations(document: Document) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, item in document["paths"].items():
        for method, operation in item.items():
            yield path, method, operation


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(target := node.get("$ref"), str):
            yield target
        for value in node.values():
            yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def schemas(document: Document) -> Iterator[dict[str, Any]]:
    yield from document["components"]["schemas"].values()
    for _, _, operation in operations(document):
        yield from (parameter["schema"] for parameter in operation["parameters"])
        bodies = [operation.get("requestBody", {}), *operation["responses"].values()]
        yield from (media["schema"] for body in bodies for media in body.get("content", {}).values())


def test_every_schema_is_one(document: Document) -> None:
    for schema in schemas(document):
        jsonschema_rs.Draft202012Validator(schema | {"components": document["components"]})


def test_every_reference_leads_somewhere(document: Document) -> None:
    for reference in references(document):
        node: Any = document
        for step in reference.removeprefix("#/").split("/"):
            node = node[step]


def test_every_route_is_described(app: Litestar, document: Document) -> None:
    routes = {
        (route.path_format, method.lower())
        for route in app.routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if handler.resolve_include_in_schema()
        for method in handler.http_methods
    }
    assert routes == {(path, method) for path, method, _ in operations(document)}
    assert len(routes) > 15


def test_every_operation_is_complete(document: Document) -> None:
    names = [operation["operationId"] for _, _, operation in operations(document)]
    assert len(set(names)) == len(names)
    known = {tag["name"] for tag in document["tags"]}
    for path, method, operation in operations(document):
        place = f"{method} {path}"
        assert operation["summary"], place
        assert set(operation["tags"]) <= known, place
        assert operation["tags"], place
        in_path = {parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "path"}
        assert in_path == set(re.findall(r"{(\w+)}", path)), place
        assert all(parameter["description"] for parameter in operation["parameters"]), place
        success = next(status for status in operation["responses"] if status < "300")
        assert ("content" in operation["responses"][success]) is (success != "204"), place


def test_every_error_is_described(document: Document) -> None:
    for path, method, operation in operations(document):
        responses = operation["responses"]
        is_public = operation.get("security") == []
        expected = {"400", "422", "500"} | (set() if is_public else {"401", "403", "429", "503"})
        if "{" in path:
            expected |= {"404"}
        if "requestBody" in operation:
            expected |= {"408", "413", "415"}
        assert expected <= set(responses), f"{method} {path}"
        for status, response in responses.items():
            if status >= "400" and (path, status) != ("/api/v1/health/ready", "503"):  # no problem, but an answer
                media = response["content"]["application/problem+json"]
                for code, example in media["examples"].items():
                    problem = example["value"]
                    assert (str(problem["status"]), problem["code"]) == (status, code)
                    schema = media["schema"] | {"components": document["components"]}
                    jsonschema_rs.validate(schema, problem)


def test_codes_of_a_resource_are_named(document: Document) -> None:
    def codes(path: str, method: str, status: str) -> set[str]:
        response = document["paths"][path][method]["responses"][status]
        return set(response["content"]["application/problem+json"]["examples"])

    assert codes("/api/v1/tenants", "post", "409") == {"slug_taken"}
    assert {"unknown_tool", "validation_failed"} <= codes("/api/v1/employees", "post", "422")
    assert codes("/api/v1/tenants/{tenant_id}/config", "get", "404") == {"not_found", "provider_not_configured"}
    assert "invalid_cursor" in codes("/api/v1/conversations", "get", "422")
    assert codes("/api/v1/tenants", "get", "403") == {"insufficient_scope", "foreign_host", "foreign_origin"}
    assert "outside_of_token" in codes("/api/v1/conversations", "post", "403")
    assert "tenant_key_required" in codes("/api/v1/tenants/{tenant_id}/user-tokens", "post", "403")
    assert codes("/api/v1/tenants/{tenant_id}/api-keys/{key_id}/rotate", "post", "409") == {"key_ended"}
    assert "storage_unavailable" in codes("/api/v1/tenants", "get", "503")
    allow = "/api/v1/approvals/{approval_id}/allow_for_conversation"
    late = {"approval_decided", "approval_expired", "approval_superseded", "approval_altered"}
    assert late | {"approval_once_only"} <= codes(allow, "post", "409")
    assert "decision_not_boolean" in codes("/api/v1/approvals/{approval_id}/decision", "post", "422")
    assert {"password_not_awaited"} <= codes("/api/v1/runs/{run_id}/password/stream", "post", "409")
    assert {"effect_known", "run_ended"} <= codes("/api/v1/runs/{run_id}/resolve-effect", "post", "409")
    messages = "/api/v1/conversations/{conversation_id}/messages"
    assert "session_expired" in codes(messages, "post", "409")
    assert "rate_limited" in codes(f"{messages}/stream", "post", "429")


def test_a_body_that_a_handler_reads_itself_is_described(document: Document) -> None:
    body = document["paths"]["/api/v1/approvals/{approval_id}/decision"]["post"]["requestBody"]
    assert body["required"] is True
    schema = body["content"]["application/json"]["schema"] | {"components": document["components"]}
    for decision in (True, False, {"approved": True}, {"comment": "No."}):
        jsonschema_rs.validate(schema, decision)
    wrong: tuple[Any, ...] = (1, "true", None, [], {"approved": 1}, {"approve": True})
    for no_decision in wrong:
        with pytest.raises(jsonschema_rs.ValidationError):
            jsonschema_rs.validate(schema, no_decision)
    optional = document["paths"]["/api/v1/approvals/{approval_id}/deny"]["post"]["requestBody"]
    assert optional["required"] is False


def test_an_answer_that_waits_is_described(document: Document) -> None:
    responses = document["paths"]["/api/v1/conversations/{conversation_id}/messages"]["post"]["responses"]
    assert responses["202"]["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/Answer"}
    choices = responses["200"]["content"]["application/json"]["schema"]["anyOf"]
    assert {"$ref": "#/components/schemas/Answer"} in choices


def test_no_example_of_a_password_is_given(document: Document) -> None:
    password = document["components"]["schemas"]["PasswordBody"]["properties"]["password"]
    assert not {"example", "examples", "default"} & password.keys()


def test_every_field_of_a_struct_is_described(document: Document) -> None:
    described = document["components"]["schemas"]
    for struct in (employees.Employee, tenants.TenantConfig, *FRAMES):
        names = {field.encode_name for field in msgspec.structs.fields(struct)}
        assert names <= set(described[struct.__name__]["properties"]), struct
    assert "bound of its own" in described["Employee"]["properties"]["max_concurrent_tasks"]["description"]


def test_frames_of_the_stream_carry_their_type(document: Document) -> None:
    token = document["components"]["schemas"]["Token"]
    assert token["properties"]["type"] == {"enum": ["token"]}
    assert set(token["required"]) == {"type", "run_id", "content"}


def test_names_that_occur_twice_do_not_clash() -> None:
    """Two protocols have frames of the same name."""
    shown: list[type[msgspec.Struct]] = [*FRAMES, *events.EventsProtocol.frames]
    components = Components(shown)
    referred = [components.schema(struct)["$ref"] for struct in shown]
    assert len(set(referred)) == len(referred)
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+", name) for name in components.schemas)
    for reference, struct in zip(referred, shown, strict=True):
        schema = components.schemas[reference.rpartition("/")[2]]
        assert set(struct.__struct_encode_fields__) <= set(schema["properties"])


def test_docstrings_below_fields_are_found_up_the_bases() -> None:
    assert field_docstrings(frames.MessageEnd)["token_count"] == "Output tokens, as in `usage`."
    assert "run_id" not in field_docstrings(frames.MessageEnd)


def test_times_are_marked_and_answers_are_whole(document: Document) -> None:
    conversation = document["components"]["schemas"]["Conversation"]
    assert conversation["properties"]["created_at"]["format"] == "date-time"
    assert {"type": "string", "format": "date-time"} in conversation["properties"]["last_message_at"]["anyOf"]
    config = document["components"]["schemas"]["TenantConfig"]
    assert set(config["required"]) == set(config["properties"])
    create = document["components"]["schemas"]["EmployeeCreate"]
    assert set(create["required"]) == {"name", "role", "system_prompt"}


async def test_answers_are_what_the_document_says(client: Client, document: Document) -> None:
    tenant = await client.tenant()
    employee = await client.employee(tenant)
    conversation = await client.conversation(tenant, employee["id"])
    config = {"llm_provider": "fake", "llm_model": "m", "llm_api_key": "k"}
    answers = {
        "Tenant": await client.call("GET", f"/tenants/{tenant}", 200),
        "Employee": employee,
        "Conversation": conversation,
        "TenantConfig": await client.call("PUT", f"/tenants/{tenant}/config", 200, json=config),
        "ConfigCheck": await client.call("POST", f"/tenants/{tenant}/config/check", 200),
        "Problem": await client.problem("POST", "/tenants", 422, "validation_failed", json={}),
    }
    for name, answer in answers.items():
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema_rs.validate(schema, answer)
        assert set(answer) <= set(document["components"]["schemas"][name]["properties"])


@pytest.mark.parametrize("path", ["/openapi.json", "/schema/openapi.json"])
async def test_the_document_is_public(app: Litestar, path: str) -> None:
    async with client_of(app) as http:
        response = await http.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("application/json")
    assert response.json()["info"]["title"] == "Retinue"


async def test_nobody_waits_while_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing: Any = None
    goes_on = threading.Event()
    monkeypatch.setattr(controller, "build_document", lambda *_: {"the loop goes on": goes_on.wait(5)})
    asyncio.get_running_loop().call_soon(asyncio.get_running_loop().call_soon, goes_on.set)
    async with client_of(make_litestar(nothing, nothing, Calls())) as http:
        assert (await http.get("/openapi.json")).json() == {"the loop goes on": True}


def test_the_document_says_who_may_ask(document: Document) -> None:
    assert document["openapi"].startswith("3.1")
    assert set(document["components"]["securitySchemes"]) == {"bearer", "apiKey"}
    public = [path for path, _, operation in operations(document) if operation.get("security") == []]
    assert public == ["/api/v1/health", "/api/v1/health/ready"]
    for name in ("operator", "rtn_key_", "rtn_user_", "x-scope", "Access-Control-Allow-Origin"):
        assert name in document["components"]["securitySchemes"]["bearer"]["description"]


def test_every_operation_names_its_scope(app: Litestar, document: Document) -> None:
    scopes = scopes_of_routes(app)
    for path, method, operation in operations(document):
        if operation.get("security") == []:
            assert "x-scope" not in operation
            continue
        assert operation["x-scope"] == scopes[f"{method.upper()} {path}"]
        forbidden = operation["responses"]["403"]
        assert "insufficient_scope" in forbidden["content"]["application/problem+json"]["examples"]
        assert {"WWW-Authenticate"} <= forbidden["headers"].keys() & operation["responses"]["401"]["headers"].keys()


def test_info_is_taken_over(app: Litestar) -> None:
    info = ApiInfo(title="T", version="9", description="D", tags={"tenants": "Those."})
    document = build_document(app, info)
    assert document["info"] == {"title": "T", "version": "9", "description": "D"}
    assert document["tags"] == [{"name": "tenants", "description": "Those."}]
