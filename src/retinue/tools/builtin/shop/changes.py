"""The tools that change orders and make coupons. A person is asked before each."""

from functools import partial
from typing import Annotated

import msgspec

from retinue.domain.tools import Assessment, Effect, Risk
from retinue.tools.base import Caller, Invocation, Tool
from retinue.tools.builtin.shop.calls import (
    TOUCHES,
    OrderArguments,
    OrderId,
    Percent,
    as_kept,
    find_order,
    unavailable_is_transient,
)
from retinue.tools.builtin.shop.port import Answer, OrderChange, Shop
from retinue.tools.builtin.shop.rules import (
    DEFAULT_EXPIRY_DAYS,
    MAX_EXPIRY_DAYS,
    cancelled,
    discounted,
    new_coupon,
    total_due,
)


class DiscountArguments(OrderArguments, frozen=True, forbid_unknown_fields=True):
    discount_percent: Percent


class CouponArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    discount_percent: Percent
    expiry_days: Annotated[
        int, msgspec.Meta(description="For how many days the coupon can be used.", ge=1, le=MAX_EXPIRY_DAYS)
    ] = DEFAULT_EXPIRY_DAYS


class CancelOrder(Tool[OrderArguments]):
    name = "cancel_order"
    description = "Cancels an order that has not been shipped. Returns the status `cancelled` or `declined`."
    arguments = OrderArguments
    effect = Effect.IDEMPOTENT
    risk = Risk.MEDIUM
    touches = TOUCHES
    timeout = 15.0

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def assess(self, arguments: OrderArguments, caller: Caller) -> Assessment:
        return await _assess(self._shop, arguments.order_id, caller)

    def question(self, arguments: OrderArguments) -> str:
        return f"Cancel order {as_kept(arguments.order_id)}?"

    async def run(self, arguments: OrderArguments, invocation: Invocation) -> Answer:
        return await _change(self._shop, arguments.order_id, cancelled, invocation)


class ApplyDiscount(Tool[DiscountArguments]):
    name = "apply_discount"
    description = (
        "Takes a percentage off an order that is not delivered yet; the larger of two discounts holds. "
        "Returns the status `applied` or `declined`."
    )
    arguments = DiscountArguments
    effect = Effect.IDEMPOTENT
    risk = Risk.MEDIUM
    touches = TOUCHES
    timeout = 15.0

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def assess(self, arguments: DiscountArguments, caller: Caller) -> Assessment:
        return await _assess(self._shop, arguments.order_id, caller)

    def question(self, arguments: DiscountArguments) -> str:
        return f"Take {arguments.discount_percent} % off order {as_kept(arguments.order_id)}?"

    async def run(self, arguments: DiscountArguments, invocation: Invocation) -> Answer:
        change = partial(discounted, percent=arguments.discount_percent)
        return await _change(self._shop, arguments.order_id, change, invocation)


class GenerateCoupon(Tool[CouponArguments]):
    name = "generate_coupon"
    description = "Makes a new coupon code that takes a percentage off one order. Returns the status `generated`."
    arguments = CouponArguments
    effect = Effect.IDEMPOTENT
    risk = Risk.MEDIUM
    touches = TOUCHES
    timeout = 15.0

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    def question(self, arguments: CouponArguments) -> str:
        days = "1 day" if arguments.expiry_days == 1 else f"{arguments.expiry_days} days"
        return f"Make a coupon for {arguments.discount_percent} % off that can be used for {days}?"

    async def run(self, arguments: CouponArguments, invocation: Invocation) -> Answer:
        draft = partial(new_coupon, percent=arguments.discount_percent, days=arguments.expiry_days)
        with unavailable_is_transient():
            return await self._shop.issue_coupon(invocation.caller.tenant_id, draft, key=invocation.idempotency_key)


async def _assess(shop: Shop, order_id: OrderId, caller: Caller) -> Assessment:
    """Shows the person who decides which order it is. For one that does not exist nobody is bothered."""
    order = await find_order(shop, caller, order_id)
    reason = f"Order {order.id} of {order.customer}: {order.item}, {total_due(order)}, {order.status.value}."
    return Assessment(effect=Effect.IDEMPOTENT, risk=Risk.MEDIUM, reason=reason)


async def _change(shop: Shop, order_id: OrderId, change: OrderChange, invocation: Invocation) -> Answer:
    with unavailable_is_transient():
        return await shop.change_order(
            invocation.caller.tenant_id, as_kept(order_id), change, key=invocation.idempotency_key
        )
