"""Keys of tenants, the origins of their pages, and the server's own secrets."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned, owner
from retinue.db.types import Word
from retinue.domain.access import Role


class ApiKey(Owned, Base, kw_only=True):
    __tablename__ = "api_keys"
    # A credential names its key and not its tenant.
    __table_args__ = (owner(), sa.Index("uq_api_keys_id", "id", unique=True))

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    name: Mapped[str]
    role: Mapped[Role] = mapped_column(Word(Role))
    digest: Mapped[bytes] = mapped_column(repr=False)
    """HMAC-SHA-256 of the whole key under the server's pepper."""
    last4: Mapped[str]
    created_at: Mapped[datetime]
    """On the database's clock, as all times here."""
    created_by: Mapped[str]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    rotated_from: Mapped[UUID | None]


class TenantOrigin(Owned, Base, kw_only=True):
    """An origin whose pages may read answers to this tenant's credentials."""

    __tablename__ = "tenant_origins"
    __table_args__ = (owner(), sa.Index("ix_tenant_origins_origin", "origin"))

    origin: Mapped[str] = mapped_column(primary_key=True, sort_order=-1)


class ServerSecret(Base, kw_only=True):
    """What all processes share and nobody else may know. Sealed by a master key."""

    __tablename__ = "server_secrets"

    name: Mapped[str] = mapped_column(primary_key=True)
    sealed: Mapped[bytes] = mapped_column(repr=False)
    created_at: Mapped[datetime]
