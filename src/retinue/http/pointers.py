"""What is wrong with a body, as JSON pointers (RFC 6901)."""

import re
from typing import Any

import msgspec

from retinue.domain.errors import FieldError

MAX_ERRORS = 50
"""More than this nobody reads; the rest shows up in the next try."""

_PLACE = " - at `"
_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_NAMED = re.compile(r"^Object (?:missing required|contains unknown) field `(.*)`$", re.DOTALL)


def field_errors(raw: Any, target: Any, first: msgspec.ValidationError) -> tuple[FieldError, ...]:
    """One error per top-level field that is wrong; `first`, found by the decoder, where the body is no object."""
    if not isinstance(raw, dict) or not _is_struct(target):
        return (describe(str(first)),)
    found = [*_unknown(raw, target), *_wrong(raw, target)]
    return tuple(found[:MAX_ERRORS]) or (describe(str(first)),)


def describe(message: str, base: str = "") -> FieldError:
    """Translate a message of msgspec, whose place is written like `$.persona.tone` or `$.tools[0]`."""
    # Not by a pattern: the message quotes names that the client chose, of any length.
    text, place, path = message.rpartition(_PLACE)
    if not place:
        text, path = message, ""
    pointer = base + _pointer(path.removeprefix("key in ").removeprefix("$").removesuffix("`"))
    if named := _NAMED.match(text):
        pointer += "/" + escape(named.group(1))
        text = "Unknown field." if "unknown" in text[:24] else "Required."
    return FieldError(pointer=pointer, detail=text)


def escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")


def _pointer(path: str) -> str:
    """msgspec does not name the key inside a free-form object: the pointer ends at that object."""
    pointer = ""
    for name, index in _STEP.findall(path):
        if index == "...":
            break
        pointer += "/" + escape(name or index)
    return pointer


def _unknown(raw: dict[str, Any], target: Any) -> list[FieldError]:
    if not target.__struct_config__.forbid_unknown_fields:
        return []
    known = {field.encode_name for field in msgspec.structs.fields(target)}
    return [FieldError(pointer="/" + escape(name), detail="Unknown field.") for name in raw if name not in known]


def _wrong(raw: dict[str, Any], target: Any) -> list[FieldError]:
    errors = []
    for field in msgspec.structs.fields(target):
        base = "/" + escape(field.encode_name)
        if field.encode_name not in raw:
            if field.required:
                errors.append(FieldError(pointer=base, detail="Required."))
            continue
        try:
            msgspec.convert(raw[field.encode_name], field.type)
        except msgspec.ValidationError as error:
            errors.append(describe(str(error), base))
    return errors


def _is_struct(target: Any) -> bool:
    return isinstance(target, type) and issubclass(target, msgspec.Struct)
