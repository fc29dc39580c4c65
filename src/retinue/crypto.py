"""Secrets at rest: AES-256-GCM envelopes, bound to the place where they are stored.

Every value has a data key of its own, which a master key wraps. Both layers authenticate the place (tenant, table,
column, row), so a sealed value opens nowhere else. The layout, version 1:

    1 byte   version
    1 byte   length of the master key's id, then the id in ASCII
    12 + 48  nonce and wrapped data key (32 bytes and the tag)
    12 + n   nonce and sealed value (UTF-8 and the tag)
"""

import base64
import binascii
import os
import re
import secrets
import stat
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from uuid import UUID, uuid5

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from retinue.domain.errors import InvalidRequest, SecretUnreadable, UnknownMasterKey

_VERSION = 1
_KEY_BYTES = 32
_NONCE_BYTES = 12
_TAG_BYTES = 16
_WRAPPED_BYTES = _NONCE_BYTES + _KEY_BYTES + _TAG_BYTES
_KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a sealed value is stored."""

    tenant: UUID
    table: str
    column: str
    row: UUID


def server_secret_place(name: str) -> Place:
    """Where a secret of the server itself is stored; it belongs to no tenant."""
    nobody = UUID(int=0)
    return Place(tenant=nobody, table="server_secrets", column="sealed", row=uuid5(nobody, name))


class _Envelope(NamedTuple):
    key_id: str
    wrapped_key: bytes
    sealed_value: bytes


class Keyring:
    """Master keys, newest first: the first one seals, every one opens. Shows nothing of itself."""

    __slots__ = ("_keys", "_newest", "on_secret")

    def __init__(self, keys: dict[str, bytes]) -> None:
        self.on_secret: Callable[[str], None] = _ignore
        """Told every plaintext that is sealed or opened, before anybody else has it; the log's redactor listens."""
        if not keys:
            raise ValueError("a keyring needs at least one key")
        for key_id, key in keys.items():
            if not _KEY_ID.fullmatch(key_id) or len(key) != _KEY_BYTES:
                raise ValueError("a master key has an id of letters, digits, dot, dash or underscore, and 32 bytes")
        self._newest = next(iter(keys))
        self._keys = {key_id: AESGCM(key) for key_id, key in keys.items()}

    @classmethod
    def parse(cls, text: str) -> "Keyring":
        """Read `id:base64 of 32 bytes`, comma-separated, newest first.

        Raises:
            ValueError: the text has another form. The message says at which entry and repeats nothing of it.
        """
        keys: dict[str, bytes] = {}
        for number, entry in enumerate(text.strip().split(","), 1):
            key_id, _, encoded = entry.strip().partition(":")
            key = _decoded(encoded)
            if not _KEY_ID.fullmatch(key_id) or key is None or key_id in keys:
                raise ValueError(f"master key {number} is not `id:base64 of 32 bytes` with an id of its own")
            keys[key_id] = key
        return cls(keys)

    @classmethod
    def load_or_create(cls, path: Path) -> "Keyring":
        """Read a key file, or make one with a fresh key that only its owner can read.

        Any number of processes may do this at once: all of them get the same key.

        Raises:
            ValueError: the file has another form, or others than its owner may read it.
            OSError: it cannot be read or made.
        """
        if not path.exists():
            _create(path)
        if os.name == "posix" and stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise ValueError(f"others may read the key file {path}: run `chmod 600` on it")
        return cls.parse(path.read_text(encoding="ascii", errors="replace"))

    def seal(self, plaintext: str, place: Place) -> bytes:
        """Encrypt under the newest master key. Sealing twice gives two different results.

        Raises:
            InvalidRequest: the text has lone surrogates. The cause is dropped, since it would hold the text.
        """
        self.on_secret(plaintext)
        try:
            value = plaintext.encode()
        except UnicodeEncodeError:
            raise InvalidRequest("The secret holds characters that cannot be encoded.") from None
        data_key = secrets.token_bytes(_KEY_BYTES)
        sealed_value = _encrypt(AESGCM(data_key), value, _context(b"value", "", place))
        return _pack(_Envelope(self._newest, self._wrapped(data_key, place), sealed_value))

    def open(self, sealed: bytes, place: Place) -> str:
        """Decrypt what `seal` made for this very place.

        Raises:
            UnknownMasterKey: it was sealed under a master key that is not in the list.
            SecretUnreadable: it was altered or moved, or is of another format.
        """
        envelope = _unpack(sealed)
        data_key = self._unwrapped(envelope, place)
        plaintext = _decrypt(AESGCM(data_key), envelope.sealed_value, _context(b"value", "", place)).decode()
        self.on_secret(plaintext)
        return plaintext

    @property
    def newest_id(self) -> str:
        return self._newest

    @property
    def newest(self) -> bytes:
        """What everything begins with that `seal` makes."""
        return _head(self._newest)

    @property
    def heads(self) -> tuple[bytes, ...]:
        """What everything begins with that can be opened; which of the master keys it needs."""
        return tuple(_head(key_id) for key_id in self._keys)

    def is_current(self, sealed: bytes) -> bool:
        """Whether the newest master key sealed it; if not, `rewrap` it.

        Raises:
            SecretUnreadable: it is of another format.
        """
        return _unpack(sealed).key_id == self._newest

    def rewrap(self, sealed: bytes, place: Place) -> bytes:
        """The same value under the newest master key. The value itself is not decrypted.

        Raises:
            UnknownMasterKey, SecretUnreadable: see `open`.
        """
        envelope = _unpack(sealed)
        data_key = self._unwrapped(envelope, place)
        return _pack(_Envelope(self._newest, self._wrapped(data_key, place), envelope.sealed_value))

    def __repr__(self) -> str:
        return "Keyring(…)"

    def __reduce__(self) -> str:
        raise TypeError("a keyring is never serialised")

    def _wrapped(self, data_key: bytes, place: Place) -> bytes:
        return _encrypt(self._keys[self._newest], data_key, _context(b"key", self._newest, place))

    def _unwrapped(self, envelope: _Envelope, place: Place) -> bytes:
        master = self._keys.get(envelope.key_id)
        if master is None:
            raise UnknownMasterKey
        return _decrypt(master, envelope.wrapped_key, _context(b"key", envelope.key_id, place))


def _ignore(_: str) -> None:
    """Nobody listens."""


def _context(layer: bytes, key_id: str, place: Place) -> bytes:
    """The authenticated data. Every part is preceded by its length, so that no two contexts read alike."""
    parts = (
        b"retinue",
        bytes([_VERSION]),
        layer,
        key_id.encode(),
        place.tenant.bytes,
        place.table.encode(),
        place.column.encode(),
        place.row.bytes,
    )
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _encrypt(cipher: AESGCM, data: bytes, context: bytes) -> bytes:
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + cipher.encrypt(nonce, data, context)


def _decrypt(cipher: AESGCM, data: bytes, context: bytes) -> bytes:
    try:
        return cipher.decrypt(data[:_NONCE_BYTES], data[_NONCE_BYTES:], context)
    except InvalidTag:
        raise SecretUnreadable from None


def _pack(envelope: _Envelope) -> bytes:
    return _head(envelope.key_id) + envelope.wrapped_key + envelope.sealed_value


def _head(key_id: str) -> bytes:
    return bytes([_VERSION, len(key_id)]) + key_id.encode("ascii")


def _unpack(sealed: bytes) -> _Envelope:
    if len(sealed) < 2 or sealed[0] != _VERSION:
        raise SecretUnreadable
    wrapped_at = 2 + sealed[1]
    value_at = wrapped_at + _WRAPPED_BYTES
    if len(sealed) < value_at + _NONCE_BYTES + _TAG_BYTES:
        raise SecretUnreadable
    key_id = sealed[2:wrapped_at].decode("ascii", errors="replace")
    return _Envelope(key_id, sealed[wrapped_at:value_at], sealed[value_at:])


def _decoded(text: str) -> bytes | None:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return key if len(key) == _KEY_BYTES else None


def _create(path: Path) -> None:
    """Write the file whole under a name of its own, then give it the real name, unless somebody else was first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = f"local:{base64.b64encode(secrets.token_bytes(_KEY_BYTES)).decode()}\n"
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()
