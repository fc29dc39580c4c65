"""Which problems an operation can answer with."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from retinue.domain import errors as e
from retinue.http.idempotency import HEADER
from retinue.http.openapi.operations import Kinds, Operation
from retinue.http.problems import MEDIA_TYPE, URN

_EVERY = (
    e.BadRequest,
    e.InvalidRequest,  # a query parameter that is not known
    e.RequestTimeout,
    e.TargetTooLong,
    e.HeadersTooLarge,
    e.InternalError,
)
_WITH_BODY = (
    e.MalformedBody,
    e.BodyTooLarge,
    e.UnsupportedMediaType,
)
_HEADERS: Mapping[str, tuple[str, str]] = {
    "401": ("WWW-Authenticate", "How to authenticate."),
    "402": ("Retry-After", "Seconds until the budget begins anew."),
    "403": ("WWW-Authenticate", "With `insufficient_scope`: the scope that is missing."),
    "429": ("Retry-After", "Seconds to wait."),
    "503": ("Retry-After", "Seconds to wait."),
}


def failures(operation: Operation) -> dict[str, Any]:
    """Responses by status, each with the codes that can occur."""
    by_status: dict[int, dict[str, type[e.RetinueError]]] = defaultdict(dict)
    for code, kinds in _problems(operation).items():
        for kind in kinds if isinstance(kinds, tuple) else (kinds,):
            by_status[kind.status][code] = kind
    return {str(status): _response(str(status), by_status[status]) for status in sorted(by_status)}


def _problems(operation: Operation) -> dict[str, Kinds]:
    kinds = list(_EVERY)
    found: dict[str, Kinds] = {}
    if not operation.is_public:
        kinds.extend((e.Unauthenticated, e.RateLimited, e.ForeignHost, e.ForeignOrigin, e.StorageFailed))
        found["conflicting_credentials"] = e.BadRequest
        found["insufficient_scope"] = e.Forbidden
        found["storage_unavailable"] = e.Unavailable
    if any(parameter.place == "path" or parameter.name == "tenant_id" for parameter in operation.parameters):
        kinds.append(e.NotFound)
    if operation.body is not None:
        kinds.extend(_WITH_BODY)
    if any(parameter.name == "cursor" for parameter in operation.parameters):
        found["invalid_cursor"] = e.InvalidRequest
    if any(parameter.name == HEADER for parameter in operation.parameters):
        found["invalid_idempotency_key"] = e.InvalidRequest
    if operation.has_replays:
        found["idempotency_key_reused"] = e.InvalidRequest
    return {kind.code: kind for kind in kinds} | found | dict(operation.problems)


def _response(status: str, kinds: Mapping[str, type[e.RetinueError]]) -> dict[str, Any]:
    titles = "\n".join(f"- `{code}`: {kind.title}" for code, kind in kinds.items())
    response: dict[str, Any] = {
        "description": titles,
        "headers": {"X-Request-ID": {"$ref": "#/components/headers/X-Request-ID"}},
        "content": {
            MEDIA_TYPE: {
                "schema": {
                    "allOf": [
                        {"$ref": "#/components/schemas/Problem"},
                        {"properties": {"status": {"const": int(status)}, "code": {"enum": list(kinds)}}},
                    ]
                },
                "examples": {code: {"value": _example(code, kind)} for code, kind in kinds.items()},
            }
        },
    }
    if header := _HEADERS.get(status):
        response["headers"][header[0]] = {"description": header[1], "schema": {"type": "string"}}
    return response


def _example(code: str, kind: type[e.RetinueError]) -> dict[str, Any]:
    return {
        "type": URN + code,
        "title": kind.title,
        "status": kind.status,
        "detail": kind.title,
        "instance": "/api/v1/…",
        "code": code,
        "retryable": kind.retryable,
    }
