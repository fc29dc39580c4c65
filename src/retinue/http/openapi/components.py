"""Structs to JSON Schema, with the docstrings that stand under their fields as descriptions."""

import ast
import inspect
import sys
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from types import ModuleType
from typing import Any, get_args

import msgspec

REF = "#/components/schemas/{name}"


class Components:
    """The schemas of a set of types, all described in one pass, so that names do not clash."""

    def __init__(self, types: Iterable[Any]) -> None:
        self._types = list(dict.fromkeys(types))
        found, self.schemas = msgspec.json.schema_components(self._types, ref_template=REF)
        self._found = dict(zip(self._types, found, strict=True))
        for struct in _structs(self._types):
            self._describe(struct)

    def schema(self, target: Any) -> dict[str, Any]:
        schema: dict[str, Any] = self._found[target]
        return schema

    def _describe(self, struct: type[msgspec.Struct]) -> None:
        schema = self._schema_of(struct)
        properties: dict[str, Any] = schema.get("properties", {})
        config = struct.__struct_config__
        if properties and not config.omit_defaults and not config.forbid_unknown_fields:
            # What Retinue answers with always has all its fields, also those that have a default inside.
            schema["required"] = list(properties)
        for field in msgspec.structs.fields(struct):
            if field.encode_name in properties:
                _mark_times(properties[field.encode_name], field.type)
        for name, text in field_docstrings(struct).items():
            place = properties.get(name)
            if place is not None and "description" not in place:
                # Beside a `$ref` a description is allowed since OpenAPI 3.1.
                properties[name] = {**place, "description": text}

    def _schema_of(self, struct: type[msgspec.Struct]) -> dict[str, Any]:
        """msgspec writes the module before names that occur twice."""
        long = f"{struct.__module__}.{struct.__qualname__}"
        schema: dict[str, Any] = self.schemas.get(long) or self.schemas.get(struct.__name__) or {}
        return schema


def field_docstrings(struct: type[msgspec.Struct]) -> Mapping[str, str]:
    """The string below each field, the nearest class first."""
    found: dict[str, str] = {}
    for cls in struct.__mro__:
        module = sys.modules.get(cls.__module__)
        if module is not None and issubclass(cls, msgspec.Struct) and cls is not msgspec.Struct:
            for name, text in _module_docstrings(module).get(cls.__qualname__, {}).items():
                found.setdefault(name, text)
    return found


@cache
def _module_docstrings(module: ModuleType) -> dict[str, dict[str, str]]:
    try:
        tree = ast.parse(inspect.getsource(module))
    except (OSError, TypeError):  # shipped without source: the document only loses these sentences
        return {}
    return {node.name: _class_docstrings(node) for node in ast.walk(tree) if isinstance(node, ast.ClassDef)}


def _class_docstrings(node: ast.ClassDef) -> dict[str, str]:
    found = {}
    for field, below in zip(node.body, node.body[1:], strict=False):
        match field, below:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[name] = inspect.cleandoc(text)
    return found


def _mark_times(schema: dict[str, Any], kind: Any) -> None:
    """msgspec writes no format for a time, because it would also read one without a zone."""
    if kind is datetime:
        schema["format"] = "date-time"
    elif datetime in get_args(kind):
        for choice in schema.get("anyOf", ()):
            if choice == {"type": "string"}:
                choice["format"] = "date-time"


def _structs(types: Iterable[Any]) -> list[type[msgspec.Struct]]:
    """Every Struct that the types are made of."""
    found: dict[type[msgspec.Struct], None] = {}
    todo: list[Any] = list(msgspec.inspect.multi_type_info(types))
    seen: set[int] = set()
    while todo:
        info = todo.pop()
        if id(info) in seen:
            continue
        seen.add(id(info))
        if isinstance(info, msgspec.inspect.StructType):
            found[info.cls] = None
            todo.extend(field.type for field in info.fields)
        todo.extend(_inner(info))
    return list(found)


def _inner(info: Any) -> list[Any]:
    parts = [getattr(info, name, None) for name in ("item_type", "key_type", "value_type", "type")]
    parts += [part for name in ("types", "item_types") for part in getattr(info, name, ())]
    return [part for part in parts if isinstance(part, msgspec.inspect.Type)]
