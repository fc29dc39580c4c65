"""The demo shop: orders and coupons that a demo employee really works on."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

import msgspec


class OrderStatus(StrEnum):
    PROCESSING = "processing"
    SHIPPED = "shipped"
    DELIVERED = "delivered"
    CANCELLED = "cancelled"


class Order(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    """As people write it, such as `1042`; unique in the tenant."""
    tenant_id: UUID
    customer: str
    item: str
    status: OrderStatus
    total_cents: int
    currency: str
    discount_percent: int = 0
    carrier: str | None = None
    tracking_number: str | None = None
    expected_at: datetime | None = None
    created_at: datetime
    updated_at: datetime


class Coupon(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    """`SAVE<percent>-<8 hexadecimal digits in capitals>`."""
    tenant_id: UUID
    discount_percent: int
    expires_at: datetime
    created_at: datetime
