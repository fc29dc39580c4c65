"""Bodies and answers of user tokens."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from retinue.domain.access import USER_SCOPES, Scope
from retinue.http.schemas import RequestBody, UserId

DEFAULT_SECONDS = 900
Lifetime = Annotated[int, Meta(ge=30, le=3_600, examples=[DEFAULT_SECONDS])]
UserScope = Annotated[Scope, Meta(extra_json_schema={"enum": sorted(USER_SCOPES)})]
UserScopes = Annotated[tuple[UserScope, ...], Meta(min_length=1, max_length=10)]


class TokenCreate(RequestBody, frozen=True, kw_only=True):
    user_id: UserId
    """Whoever has the token sees this user's conversations, and no others."""
    employee_id: UUID | None = None
    """Only conversations with this employee."""
    conversation_id: UUID | None = None
    """Only this conversation, which must be the user's."""
    scopes: UserScopes | None = None
    """A part of what a user token can have; left out: to read and to hold conversations."""
    expires_in_seconds: Lifetime = DEFAULT_SECONDS


class UserToken(msgspec.Struct, frozen=True, kw_only=True):
    """A credential for a browser. It is not stored, and ends with the key that made it."""

    id: UUID
    token: str
    tenant_id: UUID
    user_id: str
    employee_id: UUID | None
    conversation_id: UUID | None
    scopes: tuple[Scope, ...]
    expires_at: datetime
