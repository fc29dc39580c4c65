"""From a credential to whoever it stands for."""

import hmac

from retinue.crypto import Keyring
from retinue.db.session import Database
from retinue.domain.access import SCOPES_OF, Sight, StoredKey
from retinue.security.credentials import KeyDigest, refused
from retinue.security.key_book import KeyBook
from retinue.security.key_text import KeyText, read_key_text
from retinue.security.principal import OPERATOR, Principal
from retinue.security.secrets import ServerSecrets, load_server_secrets
from retinue.security.tokens import Claims, verify

_INVALID = "This key is not valid."


class Authenticator:
    """Knows the operator's key, tenants' keys, and tokens of their users."""

    def __init__(self, operator_key: str, book: KeyBook, database: Database, keyring: Keyring) -> None:
        self._operator_key = KeyDigest(operator_key)
        self._book = book
        self._database = database
        self._keyring = keyring
        self._secrets: ServerSecrets | None = None

    async def secrets(self) -> ServerSecrets:
        """What keys and tokens are made and checked with; read once.

        Raises:
            UnknownMasterKey, SecretUnreadable, Unavailable, StorageFailed: see `load_server_secrets`.
        """
        if self._secrets is None:
            self._secrets = await load_server_secrets(self._database, self._keyring)
        return self._secrets

    async def principal(self, credential: bytes) -> Principal:
        """Raises:
        Unauthenticated: it stands for nobody, or not any more. What exactly is wrong is not told.
        Unavailable, StorageFailed: the database does not answer.
        """
        if self._operator_key.matches(credential):
            return OPERATOR
        text = read_key_text(credential)
        if text is None:
            raise refused(_INVALID)
        return await (self._of_key(text) if text.kind == "key" else self._of_token(text))

    async def _of_key(self, text: KeyText) -> Principal:
        # Before the look-up: whether there is such an id makes no difference in time.
        digest = (await self.secrets()).digest(text.write())
        stored = await self._book.live_key(text.id)
        if stored is None or not hmac.compare_digest(stored.digest, digest):
            raise refused(_INVALID)
        self._book.note_use(text.id)
        return Principal(kind="key", tenant_id=stored.key.tenant_id, key_id=text.id, scopes=SCOPES_OF[stored.key.role])

    async def _of_token(self, text: KeyText) -> Principal:
        claims = verify(text, await self.secrets())
        stored = None if claims is None else await self._book.live_key(claims.key_id)
        if claims is None or stored is None or stored.key.tenant_id != claims.tenant_id:
            raise refused(_INVALID)
        return _user(claims, stored)


def _user(claims: Claims, stored: StoredKey) -> Principal:
    return Principal(
        kind="user",
        tenant_id=claims.tenant_id,
        key_id=claims.key_id,
        # What its key may not do any more, the token may not either.
        scopes=SCOPES_OF[stored.key.role].intersection(claims.scopes),
        user_id=claims.user_id,
        sight=Sight(user_id=claims.user_id, employee_id=claims.employee_id, conversation_id=claims.conversation_id),
        expires_at=claims.expires_at,
    )
