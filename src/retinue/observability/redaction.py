"""Take secrets out of text, by value and by the name that stands before them."""

import base64
import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b
from secrets import token_bytes
from typing import Any, NamedTuple
from urllib.parse import quote_plus

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


_PASSWORD = re.compile(r"(://[^\s/:@'\"]{0,200}:)[^\s/@'\"]{1,1000}@")
_PERCENT = re.compile("%[0-9A-Fa-f]{2}")


class Redactor:
    """Knows the secrets of this process and replaces them wherever they occur.

    A secret is found as it is, percent-encoded in whole or in part, escaped, in hexadecimal and in base64, there also
    in the middle of a longer value (`user:secret`). The cost of `redact` grows with the text, not with the number of
    secrets. Pinned secrets stay for good; of the others the `capacity` most recently added are known.

    Nothing of a secret itself is kept: what is compared are digests under a key of this object's own. Recognising a
    secret when it is deleted everywhere else makes no copy of it.
    """

    def __init__(self, *, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._key = token_bytes(32)
        self._recent: OrderedDict[bytes, frozenset[_Form]] = OrderedDict()
        self._pinned: set[bytes] = set()
        self._index: dict[int, dict[int, set[bytes]]] = {}

    def add(self, secret: str, *, pinned: bool = False) -> None:
        """Recognise `secret` from now on. Adding it again keeps it recent."""
        known = self._digest(secret)
        if len(secret) < MIN_CHARS or known in self._pinned:
            return
        forms = self._recent.pop(known, None) or frozenset(self._form(text) for text in _forms(secret))
        for form in forms:
            self._index.setdefault(form.beginning, {}).setdefault(form.length, set()).add(form.digest)
        if pinned:
            self._pinned.add(known)
            return
        self._recent[known] = forms
        if len(self._recent) > self._capacity:
            self._forget(self._recent.popitem(last=False)[1])

    def redact(self, text: str) -> str:
        """`text` without any known secret, the value of any credential header and the password of any URL."""
        # By value first: what stands behind a name ends at a blank, and a secret may go on behind that.
        text = _NAMED.sub(rf"\g<name>\g<between>{MASK}", self._by_value(text))
        return _BEARER.sub(rf"\1 {MASK}", _PASSWORD.sub(rf"\g<1>{MASK}@", text))

    def _by_value(self, text: str) -> str:
        spans = [*self._spans(text), *self._quoted_spans(text)]
        if not spans:
            return text
        parts: list[str] = []
        start = 0
        for begin, end in sorted(spans):
            if end > start:
                parts += (text[start:begin], MASK) if begin >= start else ()
                start = end
        return "".join((*parts, text[start:]))

    def _spans(self, text: str) -> Iterator[tuple[int, int]]:
        position, last, index = 0, len(text) - MIN_CHARS, self._index
        while position <= last:
            if hash(text[position : position + MIN_CHARS]) in index and (found := self._longest(text, position)):
                yield position, position + found
                position += found
            else:
                position += 1

    def _quoted_spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Secrets of which any characters are percent-encoded: which ones, everybody decides for themselves."""
        if _PERCENT.search(text) is None:
            return
        plain, places = _unquoted(text)
        for begin, end in self._spans(plain):
            yield places[begin], places[end]

    def _longest(self, text: str, position: int) -> int:
        lengths = self._index[hash(text[position : position + MIN_CHARS])]
        return max(
            (n for n, forms in lengths.items() if self._digest(text[position : position + n]) in forms), default=0
        )

    def _form(self, text: str) -> "_Form":
        # Python's own hash is keyed anew in every process.
        return _Form(hash(text[:MIN_CHARS]), len(text), self._digest(text))

    def _digest(self, text: str) -> bytes:
        return blake2b(text.encode("utf-8", "surrogatepass"), key=self._key, digest_size=16).digest()

    def _forget(self, forms: "frozenset[_Form]") -> None:
        for form in forms:
            lengths = self._index[form.beginning]
            lengths[form.length].discard(form.digest)
            if not lengths[form.length]:
                del lengths[form.length]
            if not lengths:
                del self._index[form.beginning]


class _Form(NamedTuple):
    """One way to write a secret, as far as it is kept."""

    beginning: int
    length: int
    digest: bytes


def _unquoted(text: str) -> tuple[str, list[int]]:
    """The text with one character for each percent-encoded byte, and where each character of it begins in `text`."""
    plain: list[str] = []
    places: list[int] = []
    position = 0
    while position < len(text):
        places.append(position)
        if text[position] == "%" and (quoted := _PERCENT.match(text, position)):
            plain.append(chr(int(quoted[0][1:], 16)))
            position += 3
        else:
            plain.append(text[position])
            position += 1
    return "".join(plain), [*places, len(text)]


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
    candidates = [
        secret,
        raw.decode("latin-1"),  # as it looks after percent-decoding, byte by byte
        quote_plus(raw),
        json.dumps(secret)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
        repr(secret)[1:-1],
        repr(raw)[2:-1],
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
