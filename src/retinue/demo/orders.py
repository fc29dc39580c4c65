"""The orders of the demo shop. Their dates are told from the day of the first start."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from retinue.domain.shop import Order, OrderStatus

_DAYS_SINCE_ORDERED = 4
_ORDERS: tuple[dict[str, Any], ...] = (
    {
        "id": "1042",
        "customer": "Grace",
        "item": "Teapot, cast iron",
        "status": OrderStatus.SHIPPED,
        "total_cents": 6490,
        "carrier": "DHL",
        "tracking_number": "JD014600003827",
    },
    {
        "id": "1043",
        "customer": "Alan",
        "item": "Darjeeling, 500 g",
        "status": OrderStatus.PROCESSING,
        "total_cents": 2450,
    },
    {
        "id": "1044",
        "customer": "Katherine",
        "item": "Tea bowl, set of two",
        "status": OrderStatus.DELIVERED,
        "total_cents": 3800,
        "carrier": "UPS",
        "tracking_number": "1Z999AA10123456784",
    },
    {
        "id": "1045",
        "customer": "Edsger",
        "item": "Kettle, 1.2 l",
        "status": OrderStatus.CANCELLED,
        "total_cents": 5990,
    },
)
_DAYS_UNTIL_EXPECTED = {"1042": 2, "1043": 6, "1044": -1}


def demo_orders(tenant_id: UUID, at: datetime) -> list[Order]:
    """One in each state."""
    return [_order(fields, tenant_id, at) for fields in _ORDERS]


def _order(fields: dict[str, Any], tenant_id: UUID, at: datetime) -> Order:
    days = _DAYS_UNTIL_EXPECTED.get(fields["id"])
    return Order(
        **fields,
        tenant_id=tenant_id,
        currency="EUR",
        expected_at=None if days is None else at + timedelta(days=days),
        created_at=at - timedelta(days=_DAYS_SINCE_ORDERED),
        updated_at=at,
    )
