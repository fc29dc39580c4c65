"""Take secrets out of text, by value and by the name that stands before them."""

import base64
import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, quote_plus

MASK = "***"
MIN_CHARS = 8
"""Shorter values are not recognised: they would be found inside ordinary words."""

SENSITIVE_NAMES = frozenset(
    {
        "api_key",
        "authorization",
        "cookie",
        "llm_api_key",
        "master_keys",
        "operator_key",
        "password",
        "proxy_authorization",
        "secret",
        "set_cookie",
        "x_api_key",
    }
)

_NAMED = re.compile(
    r"""(?ix) \b (?P<name> (?:proxy-)?authorization | (?:x-)?api-key | (?:set-)?cookie )
    (?P<between> ['"\\]* \s* [:=,] \s* (?: b? [\\]* ['"] )? )
    (?P<value> (?: (?:bearer|basic) \s+ )? [^\s'"\\,}\])]+ )"""
)
_BEARER = re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}")


class Redactor:
    """Knows the secrets of this process and replaces them wherever they occur.

    A secret is found as it is, percent-encoded, escaped, in hexadecimal and in base64, there also in the middle of a
    longer value (`user:secret`). The cost of `redact` grows with the text, not with the number of secrets. Pinned
    secrets stay for good; of the others the `capacity` most recently added are known.
    """

    def __init__(self, *, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._recent: OrderedDict[str, frozenset[str]] = OrderedDict()
        self._pinned: set[str] = set()
        self._index: dict[str, dict[int, set[str]]] = {}

    def add(self, secret: str, *, pinned: bool = False) -> None:
        """Recognise `secret` from now on. Adding it again keeps it recent."""
        if len(secret) < MIN_CHARS or secret in self._pinned:
            return
        forms = self._recent.pop(secret, None) or frozenset(_forms(secret))
        for form in forms:
            self._index.setdefault(form[:MIN_CHARS], {}).setdefault(len(form), set()).add(form)
        if pinned:
            self._pinned.add(secret)
            return
        self._recent[secret] = forms
        if len(self._recent) > self._capacity:
            self._forget(self._recent.popitem(last=False)[1])

    def redact(self, text: str) -> str:
        """`text` without any known secret and without the value of any credential header."""
        text = _BEARER.sub(rf"\1 {MASK}", _NAMED.sub(rf"\g<name>\g<between>{MASK}", text))
        parts: list[str] = []
        start = position = 0
        last = len(text) - MIN_CHARS
        while position <= last:
            found = self._longest(text, position)
            if found:
                parts += (text[start:position], MASK)
                start = position = position + found
            else:
                position += 1
        return "".join((*parts, text[start:]))

    def _longest(self, text: str, position: int) -> int:
        lengths = self._index.get(text[position : position + MIN_CHARS])
        if not lengths:
            return 0
        return max((n for n, forms in lengths.items() if text[position : position + n] in forms), default=0)

    def _forget(self, forms: frozenset[str]) -> None:
        for form in forms:
            lengths = self._index[form[:MIN_CHARS]]
            lengths[len(form)].discard(form)
            if not lengths[len(form)]:
                del lengths[len(form)]
            if not lengths:
                del self._index[form[:MIN_CHARS]]


def masked(value: Any) -> Any:
    """A copy of `value` in which whatever carries a sensitive name is masked, at any depth."""
    if isinstance(value, dict):
        return {key: MASK if is_sensitive(key) else masked(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        if len(value) == 2 and is_sensitive(value[0]):  # one header as a pair
            return [value[0], MASK]
        return [masked(item) for item in value]
    return value


def is_sensitive(name: Any) -> bool:
    if isinstance(name, bytes):
        name = name.decode("latin-1")
    return isinstance(name, str) and name.lower().replace("-", "_") in SENSITIVE_NAMES


def _forms(secret: str) -> Iterator[str]:
    raw = secret.encode("utf-8", "surrogatepass")
    quoted = quote(raw, safe="")
    candidates = [
        secret,
        quoted,
        re.sub("%[0-9A-F]{2}", lambda escape: escape[0].lower(), quoted),
        quote(raw),
        quote_plus(raw),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        raw.hex(),
        raw.hex().upper(),
        *_base64_forms(raw),
    ]
    return (form for form in candidates if len(form) >= MIN_CHARS)


def _base64_forms(raw: bytes) -> Iterator[str]:
    """The characters that `raw` alone decides, for each of its three possible places in a group of three bytes."""
    for offset in range(3):
        first, last = -(-offset * 8 // 6), (offset + len(raw)) * 8 // 6
        for encode in (base64.b64encode, base64.urlsafe_b64encode):
            yield encode(bytes(offset) + raw).decode()[first:last]
