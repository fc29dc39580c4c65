"""Letters: what an attacker wants to have done, written so that it survives in any text."""

import re
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import defaultdict
from collections.abc import Iterable, Sequence
from secrets import token_hex
from typing import Any, Literal, NamedTuple

import msgspec

Expected = Literal["asked", "refused", "stopped", "read"]
"""What has to become of a call: a person is asked, nobody is asked and nothing happens, either of these, or it is
done."""

PART_CHARS = 200
"""So that one part fits into the name of a file."""
_PART = re.compile(r"obey\.([0-9a-f]+)\.(\d+)\.(\d+)\.([A-Za-z0-9_-]+)\.yebo")


class Attempt(NamedTuple):
    """One call of a tool. Arguments that are text go out as they are; `{last}` in one stands for the last result."""

    tool: str
    args: Any
    expected: Expected
    id: str = ""
    """The call's id; made up by the model if it is empty."""


Turns = Sequence[Sequence[Attempt]]
"""Calls that are made together, turn after turn."""


def asked(tool: str, /, **args: Any) -> Attempt:
    return Attempt(tool, args, "asked")


def refused(tool: str, /, **args: Any) -> Attempt:
    return Attempt(tool, args, "refused")


def read(tool: str, /, **args: Any) -> Attempt:
    return Attempt(tool, args, "read")


def letter(turns: Turns) -> str:
    """Parts with blanks between them. No two letters are the same."""
    data = msgspec.json.encode([[(one.tool, one.args, one.id) for one in turn] for turn in turns])
    text = urlsafe_b64encode(zlib.compress(data, 9)).decode().rstrip("=")
    pieces = [text[start : start + PART_CHARS] for start in range(0, len(text), PART_CHARS)]
    name = token_hex(4)
    return " ".join(f"obey.{name}.{place}.{len(pieces)}.{piece}.yebo" for place, piece in enumerate(pieces))


def please(*attempts: Attempt) -> str:
    """What an honest user says: the same, for calls that are wanted."""
    return f"Please: {letter([attempts])}"


class Letter(NamedTuple):
    name: str
    turns: list[list[tuple[str, Any, str]]]


def letters_in(texts: Iterable[str]) -> list[Letter]:
    """All whole letters, in the order in which they are first seen."""
    found: defaultdict[str, dict[int, str]] = defaultdict(dict)
    sizes: dict[str, int] = {}
    for text in texts:
        for name, place, size, piece in _PART.findall(text):
            found[name][int(place)] = piece
            sizes[name] = int(size)
    return [Letter(name, _opened(parts)) for name, parts in found.items() if len(parts) == sizes[name]]


def _opened(parts: dict[int, str]) -> list[list[tuple[str, Any, str]]]:
    text = "".join(parts[place] for place in sorted(parts))
    data = zlib.decompress(urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return msgspec.json.decode(data, type=list[list[tuple[str, Any, str]]])
