"""The secrets that all processes share: what key digests are made with, and what user tokens are signed with."""

import hashlib
import hmac
import secrets as random

from retinue.crypto import Keyring, server_secret_place
from retinue.db.session import Database

_PEPPER = "key_pepper"
_SIGNING = "token_signing"


class ServerSecrets:
    """Made once, by the first process that needs them, and kept in the database under a master key: who has a copy of
    the database alone can neither try out keys nor sign tokens, and master keys can be rotated without new keys.
    """

    __slots__ = ("_pepper", "_signing")

    def __init__(self, pepper: bytes, signing: bytes) -> None:
        self._pepper = pepper
        self._signing = signing

    def digest(self, key: str) -> bytes:
        """What is stored of a key: HMAC-SHA-256 under the pepper."""
        return hmac.new(self._pepper, key.encode(), hashlib.sha256).digest()

    def signature(self, text: bytes) -> bytes:
        return hmac.new(self._signing, text, hashlib.sha256).digest()

    def __repr__(self) -> str:
        return "ServerSecrets(…)"

    def __reduce__(self) -> str:
        raise TypeError("server secrets are never serialised")


async def load_server_secrets(database: Database, keyring: Keyring) -> ServerSecrets:
    """Read them, or make those that are missing. Any number of processes may do this at once.

    Raises:
        UnknownMasterKey, SecretUnreadable: a stored one cannot be opened.
        Unavailable, StorageFailed: the database does not answer.
    """
    found = [await _load(database, keyring, name) for name in (_PEPPER, _SIGNING)]
    return ServerSecrets(*found)


async def _load(database: Database, keyring: Keyring, name: str) -> bytes:
    place = server_secret_place(name)
    async with database.operator(read_only=True) as unit:
        sealed = await unit.server_secrets.find(name)
    if sealed is None:
        async with database.operator() as unit:
            await unit.server_secrets.add(name, keyring.seal(random.token_hex(32), place))
            sealed = await unit.server_secrets.find(name)
    assert sealed is not None
    return bytes.fromhex(keyring.open(sealed, place))
