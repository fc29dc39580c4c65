"""Callers, calls and a shop in memory."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from retinue.domain.errors import Unavailable
from retinue.domain.ids import new_id
from retinue.domain.shop import Coupon, Order, OrderStatus
from retinue.tools.base import Caller, Invocation, Tool
from retinue.tools.builtin.shop.port import Answer, CouponDraft, OrderChange
from retinue.tools.builtin.shop.rules import unknown_order

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
TENANT = new_id()
CALLER = Caller(tenant_id=TENANT, employee_id=new_id(), conversation_id=new_id(), run_id=new_id())


def an_invocation(key: str = "run:1", caller: Caller = CALLER) -> Invocation:
    return Invocation(caller=caller, call_id="call_1", idempotency_key=key)


async def called(tool: Tool[Any], key: str = "run:1", caller: Caller = CALLER, **args: Any) -> Any:
    """What a call returns, as JSON, read and assessed as the engine does."""
    arguments = tool.read(args)
    await tool.assess(arguments, caller)
    return msgspec.to_builtins(await tool.run(arguments, an_invocation(key, caller)))


def an_order(**changes: Any) -> Order:
    order = Order(
        id="1042",
        tenant_id=TENANT,
        customer="Ada",
        item="Desk lamp",
        status=OrderStatus.PROCESSING,
        total_cents=4990,
        currency="EUR",
        created_at=NOON,
        updated_at=NOON,
    )
    return msgspec.structs.replace(order, **changes)


class MemoryShop:
    """Keeps the promises of `Shop` for one event loop. `is_down` makes it refuse everything."""

    def __init__(self, *orders: Order) -> None:
        self.orders = {(order.tenant_id, order.id): order for order in orders}
        self.coupons: list[Coupon] = []
        self.answers: dict[tuple[UUID, str], Answer] = {}
        self.is_down = False

    async def order(self, tenant_id: UUID, order_id: str) -> Order | None:
        self._require()
        return self.orders.get((tenant_id, order_id))

    async def change_order(self, tenant_id: UUID, order_id: str, change: OrderChange, *, key: str) -> Answer:
        self._require()
        if (tenant_id, key) in self.answers:
            return self.answers[tenant_id, key]
        order = self.orders.get((tenant_id, order_id))
        answer = unknown_order(order_id)
        if order is not None:
            self.orders[tenant_id, order_id], answer = change(order, NOON)
        return self.answers.setdefault((tenant_id, key), answer)

    async def issue_coupon(self, tenant_id: UUID, draft: CouponDraft, *, key: str) -> Answer:
        self._require()
        if (tenant_id, key) in self.answers:
            return self.answers[tenant_id, key]
        coupon, answer = draft(tenant_id, NOON)
        self.coupons.append(coupon)
        return self.answers.setdefault((tenant_id, key), answer)

    def _require(self) -> None:
        if self.is_down:
            raise Unavailable
