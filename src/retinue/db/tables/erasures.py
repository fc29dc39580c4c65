"""Deleted tenants of which something is still there."""

from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned, owner
from retinue.db.types import Json


class Erasure(Owned, Base, kw_only=True):
    """A tenant that has this row does not exist any more, for anybody but the job that removes what it owned. The row
    goes with the tenant's own, as the very last.
    """

    __tablename__ = "erasures"
    __table_args__ = (owner(),)

    asked_at: Mapped[datetime]
    """On the database's clock, as `lease_expires_at` is."""
    worker: Mapped[str | None]
    """The process that is at it."""
    lease_expires_at: Mapped[datetime | None]
    removed: Mapped[dict[str, int]] = mapped_column(Json(dict[str, int]))
    """Rows, by table."""
