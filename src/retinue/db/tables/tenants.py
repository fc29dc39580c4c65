"""Tenants and their configuration."""

from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned, owner
from retinue.db.types import Json


class Tenant(Base, kw_only=True):
    __tablename__ = "tenants"
    __table_args__ = (sa.UniqueConstraint("slug"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    slug: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class TenantConfig(Owned, Base, kw_only=True):
    __tablename__ = "tenant_configs"
    __table_args__ = (owner(),)

    llm_provider: Mapped[str]
    llm_model: Mapped[str]
    sealed_api_key: Mapped[bytes | None] = mapped_column(repr=False)
    api_key_last4: Mapped[str | None]
    llm_base_url: Mapped[str | None]
    context_tokens: Mapped[int | None]
    max_output_tokens: Mapped[int | None]
    temperature: Mapped[float | None]
    reasoning: Mapped[str | None]
    options: Mapped[dict[str, Any]] = mapped_column(Json(dict[str, Any]))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
