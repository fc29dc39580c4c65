"""The demo shop."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from retinue.db.tables.base import Base, Owned, owner
from retinue.db.types import Json, Word
from retinue.domain.shop import OrderStatus


class ShopOrder(Owned, Base, kw_only=True):
    __tablename__ = "shop_orders"
    __table_args__ = (owner(),)

    id: Mapped[str] = mapped_column(primary_key=True, sort_order=-1)
    customer: Mapped[str]
    item: Mapped[str]
    status: Mapped[OrderStatus] = mapped_column(Word(OrderStatus))
    total_cents: Mapped[int] = mapped_column(sa.BigInteger)
    currency: Mapped[str]
    discount_percent: Mapped[int]
    carrier: Mapped[str | None]
    tracking_number: Mapped[str | None]
    expected_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class ShopCoupon(Owned, Base, kw_only=True):
    __tablename__ = "shop_coupons"
    __table_args__ = (owner(),)

    code: Mapped[str] = mapped_column(primary_key=True, sort_order=-1)
    discount_percent: Mapped[int]
    expires_at: Mapped[datetime]
    created_at: Mapped[datetime]


class ShopAction(Owned, Base, kw_only=True):
    """What came of a call, for those that repeat it under the same idempotency key."""

    __tablename__ = "shop_actions"
    __table_args__ = (owner(),)

    key: Mapped[str] = mapped_column(primary_key=True, sort_order=-1)
    answer: Mapped[Any] = mapped_column(Json(), nullable=False, repr=False)
