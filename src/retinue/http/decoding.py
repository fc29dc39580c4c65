"""Bytes of a request body to a typed value, in one pass where the body is right."""

import re
from array import array
from functools import lru_cache
from itertools import accumulate
from typing import Any

import msgspec

from retinue.domain.errors import InvalidRequest, MalformedBody
from retinue.http.pointers import field_errors

_BRACKETS = b"[]{}"
_OTHERS = bytes(byte for byte in range(256) if byte not in _BRACKETS)
_STEPS = bytes.maketrans(_BRACKETS, array("b", [1, -1, 1, -1]).tobytes())
# The closing quote is optional: otherwise every quote in a string without an end would start a search to its end.
_STRINGS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_SUSPECT_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")
_ESCAPE = re.compile(
    rb"(\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|(\\u(?:0000|[dD][89a-fA-F][0-9a-fA-F]{2}))|\\.",
    re.DOTALL,
)


def decode_body(body: bytes, target: Any, *, max_depth: int) -> Any:
    """Decode JSON strictly: no coercion of strings to numbers, no unknown fields.

    NUL and lone surrogates become U+FFFD, as in `domain.text.clean`. Of keys that occur twice the last counts.

    Raises:
        MalformedBody: not JSON, not UTF-8, nested too deeply, or followed by something.
        InvalidRequest: JSON of the wrong shape; names every top-level field that is wrong.
    """
    if is_deeper(body, max_depth):
        raise MalformedBody(f"The body is nested more than {max_depth} levels deep.")
    body = scrub(body)
    try:
        return _decoder(target).decode(body)
    except msgspec.ValidationError as error:
        raise _invalid(body, target, error) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise malformed(error) from None


def malformed(error: Exception) -> MalformedBody:
    if isinstance(error, UnicodeDecodeError):
        return MalformedBody("The body is not valid UTF-8.")
    if isinstance(error, RecursionError):
        return MalformedBody("The body is nested too deeply.")
    return MalformedBody(f"The body is not valid JSON: {error}.")


def is_deeper(body: bytes, max_depth: int) -> bool:
    """Whether arrays and objects are nested deeper than `max_depth`.

    Most bodies have fewer brackets than that in total and cost two counts.
    """
    if body.count(b"[") + body.count(b"{") <= max_depth:
        return False
    steps = array("b", _STRINGS.sub(b"", body).translate(_STEPS, _OTHERS))
    return max(accumulate(steps), default=0) > max_depth


def scrub(body: bytes) -> bytes:
    """Replace the escapes of NUL and of lone surrogates. Unescaped, neither can occur in valid JSON."""
    if _SUSPECT_ESCAPE.search(body) is None:
        return body
    return _ESCAPE.sub(_repair, body)


def _repair(match: re.Match[bytes]) -> bytes:
    return b"\\ufffd" if match.group(2) else match.group(0)


def _invalid(body: bytes, target: Any, error: msgspec.ValidationError) -> InvalidRequest | MalformedBody:
    try:
        raw = msgspec.json.decode(body)
    except msgspec.ValidationError:  # a number beyond every range
        raw = None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as broken:
        return malformed(broken)
    errors = field_errors(raw, target, error)
    return InvalidRequest(_summary(len(errors)), errors=errors)


def _summary(count: int) -> str:
    return "One thing in the body is not valid." if count == 1 else f"{count} things in the body are not valid."


@lru_cache(maxsize=256)
def _decoder(target: Any) -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(target)
