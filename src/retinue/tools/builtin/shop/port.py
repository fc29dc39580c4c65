"""What the shop's tools need of whoever keeps the orders."""

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

import msgspec

from retinue.domain.shop import Coupon, Order


class Status(StrEnum):
    """What became of a wish to change something."""

    APPLIED = "applied"
    CANCELLED = "cancelled"
    GENERATED = "generated"
    DECLINED = "declined"
    """The shop's rules do not allow it; nothing has changed."""
    ERROR = "error"
    """It could not be carried out; nothing has changed."""


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the shop answers, kept under the key of the call."""

    status: Status
    message: str
    order_id: str | None = None
    discount_percent: int | None = None
    total_due: str | None = None
    """With its currency, the discount taken off."""
    code: str | None = None
    expires_at: datetime | None = None


OrderChange = Callable[[Order, datetime], tuple[Order, Answer]]
"""Makes of an order, at the given time, what it becomes, or leaves it as it is."""
CouponDraft = Callable[[UUID, datetime], tuple[Coupon, Answer]]
"""Makes a new coupon for a tenant. May be called again if its code is taken."""


class Shop(Protocol):
    """The orders and coupons of every tenant.

    A change and the answer under its `key` are stored together or not at all; a repeated `key` changes nothing and
    gets the first answer again, also when both come at the same time.

    Raises:
        Unavailable: from every method; for a change nobody knows then whether it took place, until it is repeated
            under its key.
    """

    async def order(self, tenant_id: UUID, order_id: str) -> Order | None: ...

    async def change_order(self, tenant_id: UUID, order_id: str, change: OrderChange, *, key: str) -> Answer: ...

    async def issue_coupon(self, tenant_id: UUID, draft: CouponDraft, *, key: str) -> Answer: ...
