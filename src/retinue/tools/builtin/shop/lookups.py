"""The tools that read orders."""

from datetime import datetime

import msgspec

from retinue.domain.shop import Order, OrderStatus
from retinue.domain.tools import Effect, Risk
from retinue.tools.base import Invocation, Tool
from retinue.tools.builtin.shop.calls import TOUCHES, OrderArguments, find_order
from retinue.tools.builtin.shop.port import Shop
from retinue.tools.builtin.shop.rules import total_due


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    order_id: str
    status: OrderStatus
    customer: str
    item: str
    total_due: str
    discount_percent: int
    ordered_at: datetime
    expected_at: datetime | None


class Tracking(msgspec.Struct, frozen=True, kw_only=True):
    order_id: str
    status: OrderStatus
    message: str
    carrier: str | None
    tracking_number: str | None
    expected_at: datetime | None


class _Lookup(Tool[OrderArguments]):
    arguments = OrderArguments
    effect = Effect.READ
    risk = Risk.LOW
    touches = TOUCHES
    timeout = 15.0

    def __init__(self, shop: Shop) -> None:
        self._shop = shop

    async def _order(self, arguments: OrderArguments, invocation: Invocation) -> Order:
        return await find_order(self._shop, invocation.caller, arguments.order_id)


class GetOrderStatus(_Lookup):
    name = "get_order_status"
    description = "Looks up an order: its status, its item, what is due and when it is expected to arrive."

    async def run(self, arguments: OrderArguments, invocation: Invocation) -> OrderState:
        order = await self._order(arguments, invocation)
        return OrderState(
            order_id=order.id,
            status=order.status,
            customer=order.customer,
            item=order.item,
            total_due=total_due(order),
            discount_percent=order.discount_percent,
            ordered_at=order.created_at,
            expected_at=order.expected_at,
        )


class GetTrackingInfo(_Lookup):
    name = "get_tracking_info"
    description = "Looks up where the parcel of an order is: the carrier, the tracking number, the expected arrival."

    async def run(self, arguments: OrderArguments, invocation: Invocation) -> Tracking:
        order = await self._order(arguments, invocation)
        return Tracking(
            order_id=order.id,
            status=order.status,
            message=_WHERE[order.status],
            carrier=order.carrier,
            tracking_number=order.tracking_number,
            expected_at=order.expected_at,
        )


_WHERE = {
    OrderStatus.PROCESSING: "It has not been handed to a carrier yet.",
    OrderStatus.SHIPPED: "It is on its way.",
    OrderStatus.DELIVERED: "It was delivered.",
    OrderStatus.CANCELLED: "The order was cancelled; nothing is sent.",
}
