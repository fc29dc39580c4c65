"""What the operator lets a tenant ask for."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned, owner


class TenantLimits(Owned, Base, kw_only=True):
    """Null leaves a bound to the server's default; 0 means without a bound."""

    __tablename__ = "tenant_limits"
    __table_args__ = (owner(),)

    tenant_requests_per_minute: Mapped[int | None] = mapped_column(sa.Integer)
    tenant_tokens_per_minute: Mapped[int | None] = mapped_column(sa.Integer)
    tenant_concurrent_runs: Mapped[int | None] = mapped_column(sa.Integer)
    key_requests_per_minute: Mapped[int | None] = mapped_column(sa.Integer)
    key_tokens_per_minute: Mapped[int | None] = mapped_column(sa.Integer)
    key_concurrent_runs: Mapped[int | None] = mapped_column(sa.Integer)
    user_requests_per_minute: Mapped[int | None] = mapped_column(sa.Integer)
    user_tokens_per_minute: Mapped[int | None] = mapped_column(sa.Integer)
    user_concurrent_runs: Mapped[int | None] = mapped_column(sa.Integer)
    updated_at: Mapped[datetime]
