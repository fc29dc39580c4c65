"""JSON schemas of tools' arguments, in the subset that all model vendors take."""

from typing import Any

import msgspec

_BOUNDS = frozenset({"minLength", "maxLength", "minItems", "maxItems"})
LARGEST_BOUND = 999
"""Some model servers make a grammar of the schema, which spells every repetition out, and refuse larger ones."""


def schema_of(arguments: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of a Struct as one object without references, and without the bounds on lengths that are large: those
    a model does not need to know, and msgspec keeps them all the same.

    Raises:
        TypeError: the Struct contains itself, or has no JSON schema.
    """
    schema = msgspec.json.schema(arguments)
    definitions = schema.pop("$defs", {})
    inlined: dict[str, Any] = _inline(schema, definitions, ())
    inlined.pop("title", None)
    inlined.pop("description", None)
    return inlined


def _inline(node: Any, definitions: dict[str, Any], inside: tuple[str, ...]) -> Any:
    if isinstance(node, list):
        return [_inline(part, definitions, inside) for part in node]
    if not isinstance(node, dict):
        return node
    if "$ref" not in node:
        return {
            key: _inline(value, definitions, inside) for key, value in node.items() if not _is_too_large(key, value)
        }
    name = node["$ref"].rsplit("/", 1)[-1]
    if name in inside:
        raise TypeError(f"{name} contains itself; a tool's arguments may not.")
    beside = {key: value for key, value in node.items() if key != "$ref"}
    return {**_inline(definitions[name], definitions, (*inside, name)), **_inline(beside, definitions, inside)}


def _is_too_large(key: str, value: Any) -> bool:
    return key in _BOUNDS and isinstance(value, int) and value > LARGEST_BOUND
