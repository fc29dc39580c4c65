"""Whether two answers tell somebody's thing from one that exists nowhere, and whether an answer tells of it."""

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import msgspec

from retinue.proving.exchange import Answer, Ask
from retinue.proving.things import UUIDS

_VARYING = ("ratelimit-", "retry-after", "date")
"""What differs between any two answers; only that the header is there counts."""
_LENGTH = "content-length"
_CONNECTION = "connection"
"""Every now and then a server closes one."""
_USE = re.compile(r'"last_used_at":(?:null|"[^"]*")')
"""Noted every now and then of a key that asks, and not only between two attacks."""
_EXCERPT = 160


class Traces(msgspec.Struct, frozen=True, kw_only=True):
    """What only somebody else's things have: words, and ids."""

    words: frozenset[str]
    ids: frozenset[str]

    def found_in(self, answer: Answer, ask: Ask) -> list[str]:
        """Those that an answer tells without having been told."""
        text = _text(answer)
        for name in sorted(ask.names, key=len, reverse=True):
            text = text.replace(name, "").replace(quote(name, safe=""), "")
        words = [word for word in self.words if word in text]
        return words + sorted(self.ids.intersection(UUIDS.findall(text)))


def differences(first: Answer, second: Answer, asks: tuple[Ask, Ask], *, is_exact: bool) -> Iterator[str]:
    """Where two answers differ in more than in the names that they were asked with.

    Args:
        is_exact: byte for byte. Otherwise successes have to have the same form: what was made has its own ids and
            times.
    """
    if first.status != second.status:
        yield f"status {first.status} instead of {second.status}"
        return
    is_exact = is_exact or not first.is_success
    bodies = [_USE.subn("", answer.body.decode(errors="replace")) for answer in (first, second)]
    yield from _headers(first, second, asks, is_exact=is_exact and not any(uses for _, uses in bodies))
    if is_exact:
        one, other = (_named(text, ask) for (text, _), ask in zip(bodies, asks, strict=True))
        if one != other:
            yield f"body {_excerpt(one, other)} instead of {_excerpt(other, one)}"
    elif not first.is_stream and _form(first.body) != _form(second.body):
        yield f"body of the form {_form(first.body)} instead of {_form(second.body)}"


def _headers(first: Answer, second: Answer, asks: tuple[Ask, Ask], *, is_exact: bool) -> Iterator[str]:
    one, other = (
        [
            (name, "" if name.startswith(_VARYING) or (name == _LENGTH and not is_exact) else _named(value, ask))
            for name, value in answer.headers
            if name != _CONNECTION
        ]
        for answer, ask in _paired(first, second, asks)
    )
    for header in one:
        if header not in other:
            yield f"header {header[0]}: {header[1]}"
    for header in other:
        if header not in one:
            yield f"without the header {header[0]}: {header[1]}"


def _paired(first: Answer, second: Answer, asks: tuple[Ask, Ask]) -> Iterable[tuple[Answer, Ask]]:
    return zip((first, second), asks, strict=True)


def _named(text: str, ask: Ask) -> str:
    """The text with a number for each name of the request."""
    places = {name: number for number, name in reversed(list(enumerate(ask.names)))}
    for name in sorted(places, key=len, reverse=True):
        for spelling in (name, quote(name, safe="")):
            text = text.replace(spelling, f"<{places[name]}>")
    return text


def _form(body: bytes) -> Any:
    try:
        return _form_of(msgspec.json.decode(body))
    except msgspec.DecodeError:
        return len(body)


def _form_of(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _form_of(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_form_of(each) for each in value]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def _excerpt(text: str, other: str) -> str:
    at = next((n for n, pair in enumerate(zip(text, other, strict=False)) if pair[0] != pair[1]), 0)
    return re.sub(r"\s+", " ", f"{text[max(0, at - 40) : at + _EXCERPT]!r}")


def _text(answer: Answer) -> str:
    return "\n".join([answer.body.decode(errors="replace"), *(f"{name}: {value}" for name, value in answer.headers)])


def ids_in(texts: Sequence[bytes]) -> frozenset[str]:
    return frozenset(found for text in texts for found in UUIDS.findall(text.decode(errors="replace")))
