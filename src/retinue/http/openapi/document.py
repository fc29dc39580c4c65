"""The whole document."""

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar import Litestar

from retinue.http.idempotency import REPLAYED
from retinue.http.openapi.components import Components
from retinue.http.openapi.failures import failures
from retinue.http.openapi.operations import Operation, Parameter, operations
from retinue.http.problems import Problem

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")


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
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, components)
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
                "bearer": {"type": "http", "scheme": "bearer", "description": "The operator key."},
                "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same key."},
            },
        },
    }


def _operation(operation: Operation, components: Components) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": list(operation.tags),
        "parameters": [_parameter(parameter, components) for parameter in operation.parameters],
        "responses": {
            str(operation.status): _success(operation, components),
            **failures(operation),
            **_otherwise(operation, components),
        },
    }
    if operation.description:
        described["description"] = operation.description
    if operation.is_public:
        described["security"] = []
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
        response["content"] = {"application/json": {"schema": schema}}
    return response


def _otherwise(operation: Operation, components: Components) -> dict[str, Any]:
    return {
        str(status): {
            "description": operation.summary,
            "headers": {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}},
        }
        | ({} if answer is None else {"content": {"application/json": {"schema": components.schema(answer)}}})
        for status, answer in operation.otherwise.items()
    }


def _stream(operation: Operation, components: Components) -> dict[str, Any]:
    return {
        "description": "Server-sent events: each `data:` line carries one of these objects.",
        "oneOf": [components.schema(frame) for frame in operation.frames],
    }
