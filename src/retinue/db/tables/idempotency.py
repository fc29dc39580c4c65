"""Idempotency records."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned


class IdempotencyRecord(Owned, Base, kw_only=True):
    """What came of a request with a key.

    No foreign key leads to the tenant: the operator's own requests are kept under the nil UUID, which is no tenant's.
    """

    __tablename__ = "idempotency_records"
    # Expired records of all tenants are swept at once.
    __table_args__ = (sa.Index("ix_idempotency_records_expiry", "expires_at"),)

    route: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    digest: Mapped[str]
    run_id: Mapped[UUID | None]
    answer: Mapped[bytes | None] = mapped_column(repr=False)
    created_at: Mapped[datetime]
    """On the database's clock, as `expires_at` is."""
    expires_at: Mapped[datetime]
