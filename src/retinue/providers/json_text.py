"""JSON as vendors send it: fast where it is well formed, forgiving where it is not."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from retinue.domain.errors import ProviderProtocol
from retinue.domain.text import clean, clean_value

T = TypeVar("T")
_HALF = re.compile("[\ud800-\udbff]")


def decode(data: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode a payload, at the second try with the standard library, which takes what msgspec refuses:

    halves of surrogate pairs (servers cut them apart between two chunks), raw control characters, bytes that are not
    UTF-8, which become U+FFFD.

    Raises:
        ProviderProtocol: not JSON, nested too deeply, or of another shape than the decoder's type.
    """
    try:
        return decoder.decode(data)
    except (ValueError, RecursionError):
        pass
    try:
        value = json.loads(data.decode("utf-8", "replace"), strict=False)
        return msgspec.convert(value, decoder.type)
    except (ValueError, RecursionError):
        raise ProviderProtocol("The model provider sent something that is not readable JSON.") from None


def error_in(body: bytes) -> object | None:
    """The error that a JSON document reports, or null if it is none or reports none."""
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, Mapping):
        return None
    error: object = value.get("error")
    if error is not None:
        return error
    return value if value.get("object") == "error" or value.get("type") == "error" else None


def whole_object(text: str) -> dict[str, Any] | None:
    """The object that a call's arguments spell, `{}` if there are none; null if they are broken or no object."""
    if not text.strip():
        return {}
    try:
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def arguments_to_send(text: str) -> dict[str, Any]:
    """Arguments of an earlier call, in a form that every vendor takes back: broken ones wrapped, not dropped."""
    value = whole_object(text)
    return value if value is not None else {"invalid_arguments": text}


def text_of(value: dict[str, Any]) -> str:
    """The JSON text of an object that a vendor sent where others send text."""
    try:
        return msgspec.json.encode(value).decode()
    except UnicodeEncodeError:
        return msgspec.json.encode(clean_value(value)).decode()


def opaque(value: object) -> str | None:
    """A vendor's token that has to go back unchanged; null for what is none or could not be sent.

    To clean it would be no use: the vendor refuses what it did not issue.
    """
    return value if isinstance(value, str) and value and clean(value) == value else None


class TextJoiner:
    """Cleans the pieces of one text and rejoins characters that were cut into surrogate halves between two pieces."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held = ""

    def push(self, text: str) -> str:
        """The text that can be passed on now; it may be empty."""
        if not self._held and text.isprintable():  # nothing to clean, and no half
            return text
        if self._held:
            text = self._held + text
            self._held = ""
        if text and "\ud800" <= text[-1] <= "\udbff":
            self._held = text[-1]
            text = text[:-1]
        return clean(_joined(text) if _HALF.search(text) else text)

    def flush(self) -> str:
        """What is left at the end: U+FFFD for a half that found no other."""
        held, self._held = self._held, ""
        return clean(held)


def _joined(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
