"""What the audit trail says of people and commands, readable for as long as there is the tenant.

Entries are never changed, and they survive their tenant. So what must not survive is written into them under a key of
the chain: hashes are made of what is written, and stay right when the key is forgotten. The key keeps nothing secret
from who has the database; it exists to be deleted.
"""

import base64
import binascii
from collections.abc import Callable
from secrets import token_bytes
from typing import Any

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from retinue.domain.audit import AuditEntry

ERASED = "[erased]"
"""What is shown in place of what nobody can read any more."""
CONTENT = ("command", "models", "slug", "subject_id")
"""Fields of payloads that hold what people, or models for them, have written: a text, or several."""
NAMES = ("decided_by",)
"""Fields that hold an actor."""
PERSON = "user:"
"""Actors that begin like this are named by whoever runs the tenant, perhaps as a person is."""

_MARK = "sealed:"
_KEY_BYTES = 64
_PURPOSE = [b"retinue audit"]


def new_key() -> bytes:
    return token_bytes(_KEY_BYTES)


class AuditSeal:
    """With one key. The same text is always sealed the same way, so that entries can be looked for by their actor."""

    def __init__(self, key: bytes | None) -> None:
        """A missing or empty key opens nothing."""
        self._cipher = AESSIV(key) if key else None

    def actor(self, name: str) -> str:
        return PERSON + self._sealed(name.removeprefix(PERSON)) if name.startswith(PERSON) else name

    def payload(self, payload: dict[str, Any]) -> dict[str, Any]:
        texts = {name: _each(payload[name], self._sealed) for name in CONTENT if _is_content(payload.get(name))}
        names = {name: self.actor(payload[name]) for name in NAMES if isinstance(payload.get(name), str)}
        return payload | texts | names

    def opened(self, entry: AuditEntry) -> AuditEntry:
        """As it was recorded. What was never sealed stays as it is."""
        texts = {name: _each(entry.payload[name], self._open) for name in CONTENT if is_sealed(entry.payload.get(name))}
        names = {name: self._open_name(entry.payload[name]) for name in NAMES if is_sealed(entry.payload.get(name))}
        return msgspec.structs.replace(entry, actor=self._open_name(entry.actor), payload=entry.payload | texts | names)

    def _sealed(self, text: str) -> str:
        assert self._cipher is not None, "only a chain with a key is written to"
        # An empty text has nothing to hide, and AES-SIV does not take it.
        return (
            _MARK + base64.urlsafe_b64encode(self._cipher.encrypt(text.encode(), _PURPOSE)).decode() if text else text
        )

    def _open_name(self, name: str) -> str:
        return PERSON + self._open(name.removeprefix(PERSON)) if is_sealed(name) else name

    def _open(self, text: str) -> str:
        if not is_sealed(text):
            return text
        try:
            if self._cipher is not None:
                return self._cipher.decrypt(base64.urlsafe_b64decode(text.removeprefix(_MARK)), _PURPOSE).decode()
        except (InvalidTag, binascii.Error, ValueError):
            pass
        return ERASED


def has_content(actor: str, payload: dict[str, Any]) -> bool:
    """Whether something of it is to be sealed."""
    names = [actor, *(payload.get(name) for name in NAMES)]
    is_named = any(isinstance(name, str) and name.startswith(PERSON) for name in names)
    return is_named or any(_is_content(payload.get(name)) for name in CONTENT)


def is_sealed(text: Any) -> bool:
    """Also of several texts: whether one of them is."""
    texts = text if isinstance(text, list) else [text]
    return any(isinstance(each, str) and each.removeprefix(PERSON).startswith(_MARK) for each in texts)


def _is_content(value: Any) -> bool:
    return isinstance(value, str | list)


def _each(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, list):
        return [change(text) if isinstance(text, str) else text for text in value]
    return change(value)


def holds_sealed(entry: AuditEntry) -> bool:
    return any(map(is_sealed, (entry.actor, *(entry.payload.get(name) for name in (*CONTENT, *NAMES)))))
