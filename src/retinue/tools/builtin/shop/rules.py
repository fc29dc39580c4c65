"""What the shop allows: pure functions of an order and the time."""

import secrets
from datetime import datetime, timedelta
from uuid import UUID

import msgspec

from retinue.domain.shop import Coupon, Order, OrderStatus
from retinue.tools.builtin.shop.port import Answer, Status

DEFAULT_EXPIRY_DAYS = 30
MAX_EXPIRY_DAYS = 3650


def cancelled(order: Order, at: datetime) -> tuple[Order, Answer]:
    """Cancel an order that has not left the house."""
    match order.status:
        case OrderStatus.CANCELLED:
            return order, _answer(order, Status.CANCELLED, f"Order {order.id} was cancelled before.")
        case OrderStatus.SHIPPED | OrderStatus.DELIVERED:
            message = f"Order {order.id} is {order.status.value} already and can only be sent back."
            return order, _answer(order, Status.DECLINED, message)
    changed = msgspec.structs.replace(order, status=OrderStatus.CANCELLED, updated_at=at)
    return changed, _answer(changed, Status.CANCELLED, f"Order {order.id} is cancelled.")


def discounted(order: Order, at: datetime, *, percent: int) -> tuple[Order, Answer]:
    """Grant a discount on an order that is still under way. A larger one takes the place of a smaller; they never add
    up."""
    if order.status in {OrderStatus.CANCELLED, OrderStatus.DELIVERED}:
        return order, _answer(order, Status.DECLINED, f"Order {order.id} is {order.status.value} already.")
    if order.discount_percent > percent:
        message = f"Order {order.id} has a larger discount already: {order.discount_percent} %."
        return order, _answer(order, Status.DECLINED, message)
    changed = order
    if order.discount_percent < percent:
        changed = msgspec.structs.replace(order, discount_percent=percent, updated_at=at)
    message = f"Order {order.id} has a discount of {percent} %: {total_due(changed)} are due."
    return changed, _answer(changed, Status.APPLIED, message)


def new_coupon(tenant_id: UUID, at: datetime, *, percent: int, days: int) -> tuple[Coupon, Answer]:
    """A coupon with a code that nobody can guess."""
    coupon = Coupon(
        code=f"SAVE{percent}-{secrets.token_hex(4).upper()}",
        tenant_id=tenant_id,
        discount_percent=percent,
        expires_at=at + timedelta(days=days),
        created_at=at,
    )
    answer = Answer(
        status=Status.GENERATED,
        message=f"The coupon {coupon.code} takes {percent} % off until {coupon.expires_at:%Y-%m-%d}.",
        discount_percent=percent,
        code=coupon.code,
        expires_at=coupon.expires_at,
    )
    return coupon, answer


def unknown_order(order_id: str) -> Answer:
    return Answer(status=Status.ERROR, message=f"There is no order {order_id}.", order_id=order_id)


def total_due(order: Order) -> str:
    """What the customer pays, half a cent rounded up."""
    cents = (order.total_cents * (100 - order.discount_percent) + 50) // 100
    return f"{cents // 100}.{cents % 100:02d} {order.currency}"


def _answer(order: Order, status: Status, message: str) -> Answer:
    return Answer(
        status=status,
        message=message,
        order_id=order.id,
        discount_percent=order.discount_percent,
        total_due=total_due(order),
    )
