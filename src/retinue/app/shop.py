"""The demo shop on the database."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from uuid import UUID

import msgspec

from retinue.db.session import Database, Unit
from retinue.domain.errors import StorageFailed
from retinue.domain.shop import Order
from retinue.tools.builtin.shop.port import Answer, CouponDraft, OrderChange
from retinue.tools.builtin.shop.rules import unknown_order

_DRAFTS = 3


class _Repeated(Exception):
    """Somebody was faster with the same key: roll back what was done here."""


class DatabaseShop:
    """Keeps orders and coupons with the tenant. See `retinue.tools.builtin.shop.port.Shop` for what it guarantees."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def order(self, tenant_id: UUID, order_id: str) -> Order | None:
        async with self._database.unit(tenant_id, read_only=True) as unit:
            return await unit.shop.order(order_id)

    async def change_order(self, tenant_id: UUID, order_id: str, change: OrderChange, *, key: str) -> Answer:
        async def act(unit: Unit) -> Answer:
            order = await unit.shop.order_for_update(order_id)
            if order is None:
                return unknown_order(order_id)
            changed, answer = change(order, await unit.clock())
            if changed is not order:
                await unit.shop.update_order(changed)
            return answer

        return await self._once(tenant_id, key, act)

    async def issue_coupon(self, tenant_id: UUID, draft: CouponDraft, *, key: str) -> Answer:
        async def act(unit: Unit) -> Answer:
            coupon, answer = draft(tenant_id, await unit.clock())
            await unit.shop.add_coupon(coupon)
            return answer

        for _ in range(_DRAFTS - 1):
            # A code that is taken fails like any other fault of the data. The key makes the next try safe.
            with suppress(StorageFailed):
                return await self._once(tenant_id, key, act)
        return await self._once(tenant_id, key, act)

    async def _once(self, tenant_id: UUID, key: str, act: Callable[[Unit], Awaitable[Answer]]) -> Answer:
        try:
            async with self._database.unit(tenant_id) as unit:
                kept = await unit.shop.action(key)
                if kept is not None:
                    return msgspec.convert(kept, Answer)
                answer = await act(unit)
                if not await unit.shop.keep_action(key, msgspec.to_builtins(answer)):
                    raise _Repeated
                return answer
        except _Repeated:
            async with self._database.unit(tenant_id, read_only=True) as unit:
                return msgspec.convert(await unit.shop.action(key), Answer)
