"""How keys and tokens are written: `rtn_<kind>_<id>_<secret>_<crc>`.

The checksum tells a typing error, or a key that was cut off, from a wrong key without asking anybody, and lets scanners
of leaked secrets know one when they see it. It protects nothing.
"""

import re
import secrets
from binascii import crc32
from typing import Literal, get_args
from uuid import UUID

import msgspec

Kind = Literal["key", "user"]
"""A tenant's key, or a token of one of its users."""

_KINDS: tuple[Kind, ...] = get_args(Kind)
_SECRET_BYTES = 24
_TEXT = re.compile(r"rtn_(key|user)_([0-9a-f]{32})_([a-z0-9]{16,3000})_([0-9a-f]{8})")


class KeyText(msgspec.Struct, frozen=True):
    """A credential in its parts."""

    kind: Kind
    id: UUID
    secret: str

    def write(self) -> str:
        body = f"rtn_{self.kind}_{self.id.hex}_{self.secret}"
        return f"{body}_{_checksum(body)}"

    @property
    def last4(self) -> str:
        return self.secret[-4:]

    def __repr__(self) -> str:
        return f"KeyText(kind={self.kind!r}, id={self.id})"

    __str__ = __repr__


def make_key(key_id: UUID) -> KeyText:
    """A fresh key with 192 random bits."""
    return KeyText("key", key_id, secrets.token_hex(_SECRET_BYTES))


def read_key_text(credential: bytes) -> KeyText | None:
    """The parts of a credential; None if it is none of Retinue's, or damaged."""
    match = _TEXT.fullmatch(credential.decode("ascii", errors="replace"))
    if match is None:
        return None
    body, _, checksum = match[0].rpartition("_")
    if checksum != _checksum(body):
        return None
    kind = next(each for each in _KINDS if each == match[1])
    return KeyText(kind, UUID(hex=match[2]), match[3])


def _checksum(body: str) -> str:
    return f"{crc32(body.encode()):08x}"
