"""What a server says of its operations, and where the entries do not agree with it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from retinue.proving.entry import ORIGIN, Entry
from retinue.proving.exchange import REQUEST_ID

PLAIN = frozenset({"limit", "status", "messages", "protocol"})
"""Parameters of queries that name nothing, wherever they stand."""
_METHODS = ("get", "put", "post", "delete", "patch")
_NAMING = ("_id", "_ids", "slug", "cursor", "_by", "_key")
"""How fields end that may name something."""
_NAMES_NOTHING = frozenset({"llm_api_key", "parallel_tool_calls_key"})


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    method: str
    path: str
    parameters: frozenset[tuple[str, str]] = frozenset()
    """Where, and the name."""
    naming: frozenset[str] = frozenset()
    """The fields of the body that may name something: `subject/id`."""

    @property
    def name(self) -> str:
        return f"{self.method} {self.path}"


def operations_of(document: Mapping[str, Any]) -> list[Operation]:
    """Every operation of an OpenAPI document."""
    found = []
    for path, methods in document["paths"].items():
        for method in sorted(set(methods) & set(_METHODS)):
            described = methods[method]
            body = described.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            found.append(
                Operation(
                    method=method.upper(),
                    path=path,
                    parameters=frozenset((each["in"], each["name"]) for each in described.get("parameters", ())),
                    naming=frozenset(_naming(body, document, (), ())),
                )
            )
    return found


def gaps(entries: Sequence[Entry], operations: Sequence[Operation]) -> list[str]:
    """Everything of the live operations that no entry knows, and the other way round; empty if they agree."""
    known: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.is_described:
            known.setdefault(entry.name, []).append(entry)
    live = {operation.name: operation for operation in operations}
    return [
        *(f"{name}: the prover has no entry for it" for name in sorted(live.keys() - known.keys())),
        *(f"{name}: the server has no such operation" for name in sorted(known.keys() - live.keys())),
        *(gap for name in sorted(live.keys() & known.keys()) for gap in _gaps_of(known[name], live[name])),
    ]


def _gaps_of(entries: Sequence[Entry], operation: Operation) -> Iterator[str]:
    known = {
        (place.where, place.name)
        for entry in entries
        for place in entry.places()
        if place.where != "body" and place.name not in {REQUEST_ID, ORIGIN, *entry.undescribed}
    }
    plain = {("query", name) for entry in entries for name in (*entry.plain, *entry.fixed, *PLAIN)}
    for where, name in sorted(operation.parameters - known - plain):
        yield f"{operation.name}: no entry knows the parameter {name} in the {where}"
    for where, name in sorted(known - operation.parameters):
        yield f"{operation.name}: there is no parameter {name} in the {where}"
    fields = {place.name for entry in entries for place in entry.places() if place.where == "body"}
    for field in sorted(operation.naming - fields):
        yield f"{operation.name}: no entry knows the field {field} of the body"


def _naming(
    schema: Mapping[str, Any], document: Mapping[str, Any], way: tuple[str, ...], seen: tuple[str, ...]
) -> Iterator[str]:
    """The ways to all fields that may name something, through everything that a schema is made of."""
    if reference := schema.get("$ref"):
        if reference not in seen:
            target = document["components"]["schemas"][reference.rpartition("/")[2]]
            yield from _naming(target, document, way, (*seen, reference))
        return
    if way and _may_name(way[-1], schema):
        yield "/".join(way)
    for combined in ("anyOf", "oneOf", "allOf"):
        for part in schema.get(combined, ()):
            yield from _naming(part, document, way, seen)
    for name, part in schema.get("properties", {}).items():
        yield from _naming(part, document, (*way, name), seen)
    items = schema.get("items")
    if isinstance(items, Mapping):
        yield from _naming(items, document, (*way, "0"), seen)


def _may_name(name: str, schema: Mapping[str, Any]) -> bool:
    return name not in _NAMES_NOTHING and (schema.get("format") == "uuid" or name.endswith(_NAMING))
