"""The audit trail. Its rows survive their tenant, so that no foreign key leads to it; the operator's own chain is under
the nil UUID, which is no tenant's.

What they say of people and of commands is sealed under a key of the chain, which does not survive: see
`db.repositories.audit_seal`.
"""

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned


class AuditEntry(Owned, Base, kw_only=True):
    """Triggers refuse to change or delete a row.

    All but the number is text in one spelling, because it is hashed: of a value that can be written in two ways, one
    could be put in the other's place.
    """

    __tablename__ = "audit_entries"
    __table_args__ = (
        sa.Index("ix_audit_entries_action", "tenant_id", "action", "seq"),
        sa.Index("ix_audit_entries_object", "tenant_id", "object_type", "object_id", "seq"),
        sa.Index("ix_audit_entries_at", "tenant_id", "at"),
    )

    seq: Mapped[int] = mapped_column(sa.BigInteger, primary_key=True, autoincrement=False, sort_order=-1)
    id: Mapped[str]
    at: Mapped[str]
    """As `2026-03-01T12:00:00.123Z`, whose order is the order in time."""
    actor: Mapped[str]
    action: Mapped[str]
    object_type: Mapped[str]
    object_id: Mapped[str]
    request_id: Mapped[str | None]
    payload: Mapped[str] = mapped_column(repr=False)
    """JSON with sorted keys."""
    previous: Mapped[str]
    hash: Mapped[str]


class AuditHead(Owned, Base, kw_only=True):
    """Where a chain ends. Whoever adds an entry locks it."""

    __tablename__ = "audit_heads"

    seq: Mapped[int] = mapped_column(sa.BigInteger)
    hash: Mapped[str]
    content_key: Mapped[bytes | None] = mapped_column(repr=False)
    """Null until something is sealed; empty once the tenant was erased."""


SURVIVORS = (AuditEntry, AuditHead)
"""Tables whose rows are still there when their tenant is gone."""
