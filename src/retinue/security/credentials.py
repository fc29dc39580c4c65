"""One credential out of the request's headers."""

import hashlib
import hmac
from collections.abc import Iterable

from retinue.domain.errors import BadRequest, Unauthenticated

MAX_LENGTH = 4096
CHALLENGE = {"www-authenticate": 'Bearer realm="retinue"'}


def read_credential(headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The credential in `Authorization: Bearer` or `X-API-Key`; None if there is none. Header names in lower case.

    Raises:
        BadRequest: two different credentials, code `conflicting_credentials`.
        Unauthenticated: a credential that is not one.
    """
    found: bytes | None = None
    for name, value in headers:
        if name == b"authorization":
            credential = _bearer(value)
        elif name == b"x-api-key":
            credential = _fit(value)
        else:
            continue
        if found is not None and not hmac.compare_digest(found, credential):
            raise BadRequest("Send one credential, not two different ones.", code="conflicting_credentials")
        found = credential
    return found


class KeyDigest:
    """A key to compare with, as a digest: equal length for every comparison, and any bytes will do."""

    __slots__ = ("_digest",)

    def __init__(self, key: str) -> None:
        self._digest = hashlib.sha256(key.encode()).digest()

    def matches(self, credential: bytes) -> bool:
        """Whether the credential is the key, in a time that does not depend on where they differ."""
        return hmac.compare_digest(self._digest, hashlib.sha256(credential).digest())


def refused(detail: str = "") -> Unauthenticated:
    return Unauthenticated(detail, headers=CHALLENGE)


def _bearer(value: bytes) -> bytes:
    scheme, _, credential = value.strip().partition(b" ")
    if scheme.lower() != b"bearer":
        raise refused("Use the Bearer scheme in Authorization, or the header X-API-Key.")
    return _fit(credential)


def _fit(value: bytes) -> bytes:
    credential = value.strip()
    if not credential or len(credential) > MAX_LENGTH or b" " in credential:
        raise refused("The credential is malformed.")
    return credential
