"""What a tenant or a user has, by kind; and names that look the same and name nothing."""

import base64
import binascii
import re
import secrets
import string
from binascii import crc32
from collections.abc import Mapping
from contextlib import suppress
from uuid import UUID

from retinue.domain.errors import InvalidRequest
from retinue.http.pagination import decode_cursor, encode_cursor, key_after, key_cursor

FRESH = "fresh"
"""The kind of a name that was never there before."""
WORD_LENGTH = 16
UUIDS = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_RANDOM_BITS = 32
"""At the end of a UUIDv7; before them stand its time, its version and its number within a millisecond, by which ids
are in order."""


class Things(dict[str, tuple[str, ...]]):
    """Names by kind: `employee`, `conversation`, `run`, `waiting` (a run), `approval` (pending), `decided` (an
    approval), `key`, `user`, `external`, `slug`, `event`, `request`, …
    """

    def first(self, kind: str) -> str:
        return self[kind][0]

    def __or__(self, other: Mapping[str, tuple[str, ...]]) -> "Things":  # type: ignore[override]
        return Things({**self, **other})


def new_word() -> str:
    """A word that stands nowhere else; fits wherever a slug, a name or a text does."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(WORD_LENGTH))


def fresh_name() -> str:
    return f"fresh-{new_word()}"


class Missing:
    """Names of things that exist nowhere, one for each name that does: of the same length and version, and at the same
    place in every order.
    """

    def __init__(self, words: frozenset[str]) -> None:
        """
        Args:
            words: the unmistakable ones that names were made with; these are exchanged.
        """
        self._words = {word: word[: WORD_LENGTH // 2] + new_word()[WORD_LENGTH // 2 :] for word in words}
        self._known: dict[str, str] = {}

    def like(self, name: str) -> str:
        if name not in self._known:
            self._known[name] = self._make(name)
        return self._known[name]

    def _make(self, name: str) -> str:
        if UUIDS.search(name):
            return UUIDS.sub(lambda match: self._uuid(match[0]), name)
        for word, other in self._words.items():
            if word in name:
                return name.replace(word, other)
        return self._cursor(name) or "".join(_like(character) for character in name)

    def _uuid(self, name: str) -> str:
        return self._known.setdefault(name, str(missing_id(UUID(name))))

    def _cursor(self, cursor: str) -> str | None:
        """One that names a place in a row that every tenant has, such as a day, stays as it is."""
        with suppress(InvalidRequest):
            if (last := decode_cursor(cursor)) is not None:
                return encode_cursor(missing_id(last)) if last.version == 7 else cursor
        with suppress(InvalidRequest):
            if (word := key_after(cursor)) is not None:
                names_somebody = UUIDS.search(word) or any(known in word for known in self._words)
                return key_cursor(self.like(word)) if names_somebody else cursor
        return None


def missing_id(known: UUID) -> UUID:
    """Another id of the same moment, between the same neighbours: what a list tells after it is the same."""
    return UUID(int=known.int ^ (1 + secrets.randbelow((1 << _RANDOM_BITS) - 1)))


def _like(character: str) -> str:
    for alphabet in (string.ascii_lowercase, string.ascii_uppercase, string.digits):
        if character in alphabet:
            return secrets.choice(alphabet)
    return character


def forged_key(key_id: str) -> str:
    """A key with that id, and with a secret that is not the right one."""
    return _checked(f"rtn_key_{UUID(key_id).hex}_{secrets.token_hex(24)}")


def forged_token(token: str, own: str, foreign: str) -> str:
    """A token that says another tenant, with the signature of the old one.

    Raises:
        ValueError: the token does not say its tenant in a form that is known here.
    """
    head, _, rest = token.rpartition("_")[0].rpartition("_")
    try:
        payload = base64.b32decode(rest.upper() + "=" * (-len(rest) % 8))
    except binascii.Error:
        raise ValueError("a token in an unknown form") from None
    if own.encode() not in payload:
        raise ValueError("a token that does not say its tenant")
    altered = base64.b32encode(payload.replace(own.encode(), foreign.encode())).decode().rstrip("=").lower()
    return _checked(f"{head}_{altered}")


def _checked(body: str) -> str:
    return f"{body}_{crc32(body.encode()):08x}"
