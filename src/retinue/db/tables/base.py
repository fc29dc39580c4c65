"""What all tables share."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, MappedAsDataclass, mapped_column

from retinue.db.types import CleanText, Instant

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}


class Base(MappedAsDataclass, DeclarativeBase, kw_only=True):
    """Root of the tables. None has relationships: whoever needs rows of another table asks its repository."""

    metadata = sa.MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012
        UUID: sa.Uuid(),
        datetime: Instant(),
        str: CleanText(),
        bytes: sa.LargeBinary(),
    }


class Owned(MappedAsDataclass, kw_only=True):
    """A row that belongs to a tenant, which leads its primary key."""

    tenant_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-2)


def owner() -> sa.ForeignKeyConstraint:
    """The key to the tenant, for tables that have no other parent that goes with it."""
    return sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], ondelete="CASCADE")


def parent(column: str, table: str) -> sa.ForeignKeyConstraint:
    """A key inside the tenant: it cannot point to another tenant's row. The row is deleted with its parent."""
    return sa.ForeignKeyConstraint(["tenant_id", column], [f"{table}.tenant_id", f"{table}.id"], ondelete="CASCADE")
