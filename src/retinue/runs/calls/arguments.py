"""Reads the arguments of a model's tool calls."""

from collections.abc import Iterable
from typing import Any

import json_repair
import msgspec

MAX_DEPTH = 64
"""Arguments that nest deeper stay text: they could be read here and yet be too deep to be written elsewhere."""
MAX_REPAIRED_CHARS = 1024
MAX_REPAIRED_BRACKETS = 16
"""Repairing blocks the event loop, and its time grows with more than the square of length and nesting: within both
bounds it takes tens of milliseconds at worst, far beyond them minutes."""
MAX_REPAIRED_CALLS = 16
"""Calls of a step whose arguments may be repaired."""


def parse_arguments(text: str, *, may_repair: bool = True) -> Any:
    """The arguments as a value: nothing means an empty object, broken JSON gets one repair try.

    Text that cannot be repaired into an object comes back as it is, and so does what nests too deep. Whatever is
    returned can be written as JSON again.
    """
    if not text.strip():
        return {}
    try:
        value = _read(text, may_repair)
    except (RecursionError, ValueError):
        return text
    return text if _is_deeper(value, MAX_DEPTH) or not _can_be_stored(value) else value


def is_repaired(text: str, value: Any) -> bool:
    """Whether the arguments that were made of this text are not what it says literally."""
    if not isinstance(value, dict) or not text.strip():
        return False
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return True
    return False


def _read(text: str, may_repair: bool) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return _repair(text) if may_repair else text


def _can_be_stored(value: Any) -> bool:
    """Whether the value stays what it is when it is written as JSON: numbers beyond the range of a double do not."""
    try:
        return bool(msgspec.json.decode(msgspec.json.encode(value)) == value)
    except (OverflowError, ValueError):
        return False


def _repair(text: str) -> Any:
    if len(text) > MAX_REPAIRED_CHARS or sum(map(text.count, "{[(")) > MAX_REPAIRED_BRACKETS:
        return text
    try:
        repaired = json_repair.loads(text)
    except Exception:  # its own assertions fail for some texts
        return text
    if not isinstance(repaired, dict):
        return text
    msgspec.json.encode(repaired)  # raises ValueError for half of a surrogate pair
    return repaired


def _is_deeper(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return False
    return True


def _children(value: Any) -> Iterable[Any]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
        case _:
            return ()
