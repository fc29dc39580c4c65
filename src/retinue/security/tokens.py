"""User tokens: short-lived credentials for browsers, signed and not stored."""

import base64
import binascii
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from time import time
from uuid import UUID

import msgspec

from retinue.domain.access import USER_SCOPES, Scope
from retinue.domain.ids import new_id
from retinue.security.key_text import KeyText
from retinue.security.secrets import ServerSecrets

_SIGNATURE_BYTES = 32


class Claims(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What a token says, and the signature vouches for. New fields go to the end; a server that does not know them must
    not take a token that is bound by them.
    """

    tenant_id: UUID
    key_id: UUID
    """The key that made it: when that one ends, the token ends with it."""
    user_id: str
    scopes: tuple[Scope, ...]
    expires: int
    """Seconds since 1970."""
    employee_id: UUID | None = None
    conversation_id: UUID | None = None

    @property
    def expires_at(self) -> datetime:
        return datetime.fromtimestamp(self.expires, UTC)


def sign(claims: Claims, secrets: ServerSecrets) -> tuple[UUID, str]:
    """A token and the id that it is known by."""
    token_id = new_id()
    payload = msgspec.json.encode(claims)
    return token_id, KeyText("user", token_id, _spell(payload + secrets.signature(_signed(token_id, payload)))).write()


def verify(text: KeyText, secrets: ServerSecrets, clock: Callable[[], float] = time) -> Claims | None:
    """What a token says; None if it was not signed here, or its time is over."""
    try:
        raw = _unspell(text.secret)
        payload, signature = raw[:-_SIGNATURE_BYTES], raw[-_SIGNATURE_BYTES:]
        if not hmac.compare_digest(signature, secrets.signature(_signed(text.id, payload))):
            return None
        claims = msgspec.json.decode(payload, type=Claims)
    except (binascii.Error, msgspec.MsgspecError):
        return None
    return claims if claims.expires > clock() and USER_SCOPES.issuperset(claims.scopes) else None


def _signed(token_id: UUID, payload: bytes) -> bytes:
    return b"rtn_user_" + token_id.bytes + payload


def _spell(raw: bytes) -> str:
    return base64.b32encode(raw).decode().rstrip("=").lower()


def _unspell(text: str) -> bytes:
    """Raises: binascii.Error, also for another spelling of the same bytes: the last letter has bits to spare."""
    raw = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    if _spell(raw) != text:
        raise binascii.Error("not spelled as it was written")
    return raw
