"""Budgets, and the tenants' own prices."""

from datetime import datetime
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned, owner
from retinue.db.types import Json, Word
from retinue.domain.budgets import Period, SetBy, Subject
from retinue.domain.prices import ModelPrice


class Budget(Owned, Base, kw_only=True):
    """The counters are those of the period that `period_start` names, which is not the present one while nobody has
    spent anything in that.
    """

    __tablename__ = "budgets"
    __table_args__ = (
        owner(),
        sa.Index("uq_budgets_subject", "tenant_id", "subject_id", "subject", "period", "set_by", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-1)
    subject: Mapped[Subject] = mapped_column(Word(Subject))
    subject_id: Mapped[str]
    """Has no foreign key: users have no rows, and what has ended keeps its budget until somebody removes it."""
    period: Mapped[Period] = mapped_column(Word(Period))
    limit_micros: Mapped[int] = mapped_column(sa.BigInteger)
    currency: Mapped[str]
    soft_percent: Mapped[int | None]
    hard_stop: Mapped[bool]
    set_by: Mapped[SetBy] = mapped_column(Word(SetBy))
    period_start: Mapped[datetime]
    """On the database's clock, as all times here."""
    spent_micros: Mapped[int] = mapped_column(sa.BigInteger)
    reserved_micros: Mapped[int] = mapped_column(sa.BigInteger)
    alerted_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class TenantPrices(Owned, Base, kw_only=True):
    """What a tenant says that it pays, as one list."""

    __tablename__ = "tenant_prices"
    __table_args__ = (owner(),)

    prices: Mapped[tuple[ModelPrice, ...]] = mapped_column(Json(tuple[ModelPrice, ...]))
