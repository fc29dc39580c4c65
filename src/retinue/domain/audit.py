"""The audit trail: who did what to what, chained so that nothing can be changed, removed or put in unnoticed."""

from contextvars import ContextVar
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec

GENESIS = "0" * 64
"""What the first entry of a chain follows."""


class Actor(msgspec.Struct, frozen=True, kw_only=True):
    """Who acts. Set by the edge for each request; jobs and runs say so themselves."""

    kind: str
    """`operator`, `anonymous` (open mode), `key`, `user` (with a token), `employee` or `system`."""
    id: str = ""
    """Of the key, the user or the employee."""
    request_id: str | None = None

    @property
    def name(self) -> str:
        return f"{self.kind}:{self.id}" if self.id else self.kind


SYSTEM = Actor(kind="system")

acting: ContextVar[Actor] = ContextVar("acting", default=SYSTEM)
"""Who acts in the present context."""


class AuditEntry(msgspec.Struct, frozen=True, kw_only=True):
    tenant_id: UUID
    """The nil UUID for what the operator does to tenants as such."""
    seq: int
    """Contiguous from 1 within a tenant."""
    id: UUID
    at: datetime
    """In whole milliseconds."""
    actor: str
    action: str
    """`noun.past_participle`, such as `employee.created`."""
    object_type: str
    object_id: str
    request_id: str | None
    payload: dict[str, Any]
    """What changed, without secrets and without what people said. A command that was run is the exception; it, and who
    is named as a user, can be read for as long as there is the tenant.
    """
    previous: str
    """The hash of the entry before."""
    hash: str
    """Of the entry as it is stored."""


def entry_hash(entry: AuditEntry) -> str:
    """SHA-256, in hexadecimal, of everything in the entry but its own hash."""
    fields = [getattr(entry, name) for name in AuditEntry.__struct_fields__ if name != "hash"]
    return sha256(msgspec.json.encode(fields, order="sorted")).hexdigest()


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What walking a tenant's chain has shown."""

    is_valid: bool
    entries: int
    """How many were looked at, the first broken one included."""
    first_broken: int | None = None
    """The sequence number from which on the chain cannot be trusted."""
    head: str
    """The hash of the last entry. Whoever keeps it elsewhere can tell later whether the end was cut off."""
