"""The whole document."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from litestar import Litestar

from retinue.http.idempotency import REPLAYED
from retinue.http.openapi.components import Components
from retinue.http.openapi.failures import failures
from retinue.http.openapi.links import links
from retinue.http.openapi.operations import Operation, Parameter, operations
from retinue.http.problems import Problem

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_CREDENTIALS = """One of three:

- the operator's key, which opens everything and sees all tenants;
- a tenant's key, `rtn_key_…`, with the scopes of its role (`POST /api/v1/tenants/{tenant_id}/api-keys`);
- a token for the browser of one user, `rtn_user_…`, for an hour at most
  (`POST /api/v1/tenants/{tenant_id}/user-tokens`).

Each operation names the scope that it needs in `x-scope`. A tenant's credentials say which tenant is meant; a
`tenant_id` beside them may be left out and has to agree with them.

Pages of the origins that a tenant has listed (`PUT /api/v1/tenants/{tenant_id}/origins`) may read answers to its
credentials: these carry `Access-Control-Allow-Origin`. There are no cookies."""
_SAME = "The same credentials in another header. Two different ones in one request are refused."


class ApiInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What the document says about itself."""

    title: str
    version: str
    description: str
    tags: Mapping[str, str]
    """Every tag with its description, in the order of reading."""
    events: tuple[type[msgspec.Struct], ...] = ()
    """Structs that no route names but that belong into the document, such as the frames of further protocols."""


def build_document(app: Litestar, info: ApiInfo) -> dict[str, Any]:
    """Every route, field and error, as OpenAPI 3.1."""
    found = sorted(operations(app), key=lambda operation: (operation.path, _METHODS.index(operation.method)))
    types = [Problem, *info.events, *(each for operation in found for each in operation.types)]
    components = Components(types)
    paths: dict[str, dict[str, Any]] = {}
    for operation in found:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, components, found)
    return {
        "openapi": "3.1.0",
        "info": {"title": info.title, "version": info.version, "description": info.description},
        "jsonSchemaDialect": "https://json-schema.org/draft/2020-12/schema",
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": text} for name, text in info.tags.items()],
        "security": [{"bearer": []}, {"apiKey": []}],
        "paths": paths,
        "components": {
            "schemas": dict(sorted(components.schemas.items())),
            "headers": {
                "X-Request-ID": {
                    "description": "Names this request in the log; the client's own id if it sent a fitting one.",
                    "schema": {"type": "string"},
                }
            },
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": _CREDENTIALS},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": _SAME},
            },
        },
    }


def _operation(operation: Operation, components: Components, others: Sequence[Operation]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": list(operation.tags),
        "parameters": [_parameter(each, components) for each in operation.parameters if not each.is_refused],
        "responses": {
            str(operation.status): _success(operation, components)
            | _links(operation, operation.status, operation.answers, others),
            **failures(operation),
            **_otherwise(operation, components, others),
        },
    }
    if operation.description:
        described["description"] = operation.description
    if operation.is_public:
        described["security"] = []
    elif operation.scope is not None:
        described["x-scope"] = operation.scope
    if operation.body is not None:
        described["requestBody"] = {
            "required": operation.is_body_required,
            "content": {"application/json": {"schema": components.schema(operation.body)}},
        }
    return described


def _parameter(parameter: Parameter, components: Components) -> dict[str, Any]:
    schema = {**components.schema(parameter.type), **parameter.bounds}
    if parameter.default is not None:
        schema["default"] = parameter.default
    description = parameter.description or f"The {parameter.name.removesuffix('_id').replace('_', ' ')}."
    return {
        "name": parameter.name,
        "in": parameter.place,
        "required": parameter.is_required,
        "description": description,
        "schema": schema,
    }


def _success(operation: Operation, components: Components) -> dict[str, Any]:
    headers: dict[str, Any] = {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}}
    if operation.is_list:
        headers["Link"] = {"description": 'The next page, as `<…>; rel="next"`.', "schema": {"type": "string"}}
    if operation.has_replays:
        headers[REPLAYED] = {
            "description": "`true` if this is the answer of an earlier request with the same key.",
            "schema": {"type": "string", "const": "true"},
        }
    response: dict[str, Any] = {"description": operation.summary, "headers": headers}
    if operation.frames:
        response["content"] = {"text/event-stream": {"schema": _stream(operation, components)}}
    elif operation.answers:
        schemas = [components.schema(answer) for answer in operation.answers]
        schema = schemas[0] if len(schemas) == 1 else {"anyOf": schemas}
        others = {kind: {"schema": components.schema(body)} for kind, body in operation.media.items()}
        response["content"] = {"application/json": {"schema": schema}, **others}
    return response


def _otherwise(operation: Operation, components: Components, others: Sequence[Operation]) -> dict[str, Any]:
    return {
        str(status): {
            "description": operation.summary,
            "headers": {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}},
        }
        | ({} if answer is None else {"content": {"application/json": {"schema": components.schema(answer)}}})
        | _links(operation, status, [answer], others)
        for status, answer in operation.otherwise.items()
    }


def _links(operation: Operation, status: int, answers: Sequence[Any], others: Sequence[Operation]) -> dict[str, Any]:
    found = links(operation, status, answers, others)
    return {"links": found} if found else {}


def _stream(operation: Operation, components: Components) -> dict[str, Any]:
    return {
        "description": "Server-sent events: each `data:` line carries one of these objects.",
        "oneOf": [components.schema(frame) for frame in operation.frames],
    }
