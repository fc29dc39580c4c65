"""Where an answer leads: its ids, as parameters of other operations."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from retinue.http.openapi.operations import Operation

_NAMED = {
    200: {"run_id": ("run_id", "/run_id")},
    202: {"run_id": ("run_id", "/run_id"), "approval_id": ("approvals", "/approvals/0/approval_id")},
}
"""By status, for a parameter of the path: the field that the answer needs, and the place of the id in it."""


def links(source: Operation, status: int, answers: Sequence[Any], others: Sequence[Operation]) -> dict[str, Any]:
    """OpenAPI links, by name, from an answer to a POST whose body has one of these types."""
    if source.method != "post":
        return {}
    fields = {field for answer in answers for field in _fields(answer)}
    known = {name: f"$request.path.{name}" for name in _path_names(source)}
    found: dict[str, Any] = {}
    for name, place in _ids(source, status, fields, others):
        told = known | {name: f"$response.body#{place}"}
        for other in others:
            needed = _path_names(other)
            if name in needed and needed <= told.keys():
                found[other.name] = _link(other, {each: told[each] for each in needed})
    if status == 201:
        found |= {other.name: _link(other, known | _tenant(other, fields)) for other in others if _lists(other, source)}
    return dict(sorted(found.items()))


def _ids(source: Operation, status: int, fields: set[str], others: Sequence[Operation]) -> Iterator[tuple[str, str]]:
    """Names of path parameters, and where the answer has them."""
    if status == 201 and "id" in fields:
        items = {other.path.removeprefix(source.path) for other in others if other.path.startswith(source.path + "/{")}
        yield from ((item[2:-1], "/id") for item in sorted(items) if item.count("/") == 1)
    named = _NAMED.get(status, {})
    yield from ((name, place) for name, (field, place) in named.items() if field in fields)


def _lists(other: Operation, source: Operation) -> bool:
    return other.method == "get" and other.path == source.path


def _tenant(other: Operation, fields: set[str]) -> dict[str, str]:
    asks = any(parameter.name == "tenant_id" and parameter.place == "query" for parameter in other.parameters)
    return {"query.tenant_id": "$response.body#/tenant_id"} if asks and "tenant_id" in fields else {}


def _link(other: Operation, parameters: Mapping[str, str]) -> dict[str, Any]:
    return {"operationId": other.name, "parameters": dict(sorted(parameters.items()))}


def _path_names(operation: Operation) -> set[str]:
    return {parameter.name for parameter in operation.parameters if parameter.place == "path"}


def _fields(answer: Any) -> set[str]:
    return set(answer.__struct_fields__) if isinstance(answer, type) and issubclass(answer, msgspec.Struct) else set()
