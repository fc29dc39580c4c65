"""Who may do what: scopes, and the roles that stand for sets of them."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class Scope(StrEnum):
    """One kind of thing that a credential may do. Every route names the one that it needs."""

    OPERATE = "operate"
    """What only the operator may do: make, list and delete tenants, and bound them."""
    TENANT_READ = "tenant:read"
    TENANT_WRITE = "tenant:write"
    CONFIG_READ = "config:read"
    CONFIG_WRITE = "config:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    TOKENS_WRITE = "tokens:write"
    """Make user tokens."""
    LIMITS_READ = "limits:read"
    BUDGETS_READ = "budgets:read"
    BUDGETS_WRITE = "budgets:write"
    PRICES_READ = "prices:read"
    PRICES_WRITE = "prices:write"
    USAGE_READ = "usage:read"
    AUDIT_READ = "audit:read"
    EMPLOYEES_READ = "employees:read"
    EMPLOYEES_WRITE = "employees:write"
    TOOLS_READ = "tools:read"
    CONVERSATIONS_READ = "conversations:read"
    """Conversations, their messages and runs, and their streams."""
    CONVERSATIONS_WRITE = "conversations:write"
    """Begin, change, delete and hold conversations, and stop answers."""
    APPROVALS_READ = "approvals:read"
    APPROVALS_DECIDE = "approvals:decide"
    """Decide about calls, give passwords, and say what became of effects."""


class Role(StrEnum):
    ADMIN = "admin"
    MEMBER = "member"
    VIEWER = "viewer"


EVERYTHING = frozenset(Scope)
_VIEWER = frozenset(
    {
        Scope.TENANT_READ,
        Scope.EMPLOYEES_READ,
        Scope.TOOLS_READ,
        Scope.CONVERSATIONS_READ,
        Scope.APPROVALS_READ,
        Scope.USAGE_READ,
        Scope.LIMITS_READ,
        Scope.BUDGETS_READ,
        Scope.PRICES_READ,
    }
)
_MEMBER = _VIEWER | {Scope.CONVERSATIONS_WRITE, Scope.APPROVALS_DECIDE, Scope.TOKENS_WRITE}

SCOPES_OF: Mapping[Role, frozenset[Scope]] = {
    Role.ADMIN: EVERYTHING - {Scope.OPERATE},
    Role.MEMBER: _MEMBER,
    Role.VIEWER: _VIEWER,
}
"""Operators have every scope."""

USER_SCOPES = frozenset(
    {
        Scope.CONVERSATIONS_READ,
        Scope.CONVERSATIONS_WRITE,
        Scope.APPROVALS_READ,
        Scope.APPROVALS_DECIDE,
    }
)
"""All that a user token can have: what concerns the conversations of one user."""


class Sight(msgspec.Struct, frozen=True, kw_only=True):
    """Which conversations of a tenant exist for a credential. What is null bounds nothing."""

    user_id: str | None = None
    employee_id: UUID | None = None
    conversation_id: UUID | None = None

    @property
    def is_whole(self) -> bool:
        return self == WHOLE


WHOLE = Sight()


class ApiKey(msgspec.Struct, frozen=True, kw_only=True):
    """A tenant's key, as it is shown. The key itself is shown once, when it is made."""

    id: UUID
    tenant_id: UUID
    name: str
    role: Role
    last4: str
    """The last four characters of the secret part."""
    created_at: datetime
    created_by: str
    """Who made it, as the audit trail names actors."""
    expires_at: datetime | None = None
    """On the database's clock. Null: never."""
    last_used_at: datetime | None = None
    """Exact to a minute."""
    revoked_at: datetime | None = None
    rotated_from: UUID | None = None
    """The key that this one was made to follow."""


class StoredKey(msgspec.Struct, frozen=True, kw_only=True):
    """A key with what a credential is compared with."""

    key: ApiKey
    digest: bytes
    is_live: bool
    """Neither revoked nor expired, by the database's clock, when it was read."""

    def __repr__(self) -> str:
        return f"StoredKey({self.key.id})"

    __str__ = __repr__
