"""The OpenAPI document as a judge of real answers."""

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema_rs


class Description:
    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document
        self._templates = sorted(document["paths"], key=lambda template: (template.count("{"), template))
        self._validator = cache(lambda schema: self.compile(schema.value))

    def operations(self) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """Path, method in upper case, and what is said about it."""
        for path, item in self.document["paths"].items():
            for method, operation in item.items():
                yield path, method.upper(), operation

    def check(self, method: str, target: str, status: int, content_type: str | None, body: Any) -> None:
        """Complain about an answer that is not described. Undescribed paths and methods are left alone."""
        operation = self.find(method, target)
        if operation is None:
            return
        responses = operation["responses"]
        assert str(status) in responses, f"{method} {target} answers {status}, described are {sorted(responses)}"
        content = responses[str(status)].get("content")
        if content is None:
            assert content_type is None, f"{method} {target} has a body of type {content_type}"
            return
        kind = (content_type or "").partition(";")[0]
        assert kind in content, f"{method} {target} answers {content_type}, described are {sorted(content)}"
        self.validate(content[kind]["schema"], body)

    def check_frame(self, method: str, target: str, frame: Any) -> None:
        """Complain about a frame of a stream that is not described."""
        operation = self.find(method, target)
        assert operation is not None, target
        self.validate(operation["responses"]["200"]["content"]["text/event-stream"]["schema"], frame)

    def find(self, method: str, target: str) -> dict[str, Any] | None:
        path = target.partition("?")[0]
        for template in self._templates:
            if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), path):
                operation: dict[str, Any] | None = self.document["paths"][template].get(method.lower())
                return operation
        return None

    def validate(self, schema: dict[str, Any], value: Any) -> None:
        self._validator(_Frozen(schema)).validate(value)

    def compile(self, schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
        """A judge of values, also of the formats of texts.

        Raises:
            ValueError: the schema is none, or points nowhere.
        """
        whole = {**schema, "components": self.document["components"]}
        return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


class _Frozen:
    """A schema as a key: the document does not change."""

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Frozen) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)
