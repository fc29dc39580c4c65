"""Idempotency keys: a request that is sent twice acts once."""

from datetime import datetime
from uuid import UUID

import msgspec


class IdempotencyKey(msgspec.Struct, frozen=True, kw_only=True):
    """A client's name for one request, valid for one tenant and route."""

    route: str
    """Method and path, such as `POST /api/v1/conversations/…/messages`."""
    key: str
    digest: str
    """SHA-256, in hexadecimal, of what the request asks for; the same key with another digest is refused."""


class IdempotencyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What came of the first request with a key. Either `run_id` or `answer` is set once it has acted."""

    route: str
    key: str
    digest: str
    run_id: UUID | None = None
    """The run that the request started or joined: a repeated request follows the same one."""
    answer: bytes | None = None
    """The JSON body of the first answer."""
    created_at: datetime
