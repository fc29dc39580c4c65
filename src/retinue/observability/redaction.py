"""Take secrets out of text, by value and by the name that stands before them."""

import base64
import json
import re
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote_plus

from retinue.observability.fingerprints import MIN_CHARS, Fingerprint, Fingerprints

MASK = "***"

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
_MARKS = ("authorization", "api-key", "cookie", "bearer", "basic", "://")
"""One of them is in whatever the three patterns above find, if it is ASCII: other letters may count as one of these."""
_PERCENT = re.compile("%[0-9A-Fa-f]{2}")


class Redactor:
    """Knows the secrets of this process and replaces them wherever they occur.

    A secret is found as it is, percent-encoded in whole or in part, escaped, in hexadecimal and in base64, there also
    in the middle of a longer value (`user:secret`). The cost of `redact` grows with the text, not with the number of
    secrets. Pinned secrets stay for good; of the others the `capacity` most recently added are known.

    Nothing of a secret itself is kept, see `Fingerprints`. Recognising a secret when it is deleted everywhere else
    makes no copy of it.
    """

    def __init__(self, *, capacity: int = 10_000) -> None:
        self._capacity = capacity
        self._prints = Fingerprints()
        self._recent: OrderedDict[bytes, frozenset[Fingerprint]] = OrderedDict()
        self._pinned: set[bytes] = set()

    def add(self, secret: str, *, pinned: bool = False) -> None:
        """Recognise `secret` from now on. Adding it again keeps it recent."""
        known = self._prints.digest(secret)
        if len(secret) < MIN_CHARS or known in self._pinned:
            return
        if (prints := self._recent.pop(known, None)) is None:
            prints = frozenset(map(self._prints.of, _forms(secret)))
            self._prints.add(prints)
        if pinned:
            self._pinned.add(known)
            return
        self._recent[known] = prints
        if len(self._recent) > self._capacity:
            self._prints.discard(self._recent.popitem(last=False)[1])

    def redact(self, text: str) -> str:
        """`text` without any known secret, the value of any credential header and the password of any URL."""
        # By value first: what stands behind a name ends at a blank, and a secret may go on behind that.
        text = self._by_value(text)
        if text.isascii() and not any(map(text.lower().__contains__, _MARKS)):
            return text
        text = _NAMED.sub(rf"\g<name>\g<between>{MASK}", text)
        return _BEARER.sub(rf"\1 {MASK}", _PASSWORD.sub(rf"\g<1>{MASK}@", text))

    def _by_value(self, text: str) -> str:
        spans = [*self._prints.spans(text), *self._quoted_spans(text)]
        if not spans:
            return text
        parts: list[str] = []
        start = 0
        for begin, end in sorted(spans):
            if end > start:
                parts += (text[start:begin], MASK) if begin >= start else ()
                start = end
        return "".join((*parts, text[start:]))

    def _quoted_spans(self, text: str) -> Iterator[tuple[int, int]]:
        """Secrets of which any characters are percent-encoded: which ones, everybody decides for themselves."""
        if "%" not in text or _PERCENT.search(text) is None:
            return
        plain, places = _unquoted(text)
        for begin, end in self._prints.spans(plain):
            yield places[begin], places[end]


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
