"""The demo shop."""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.base import TenantRepository, found
from retinue.domain.shop import Coupon, Order

_ORDER_FIELDS = Order.__struct_fields__
_UNCHANGING = {"id", "tenant_id", "created_at"}


class ShopRepository(TenantRepository):
    async def order(self, order_id: str) -> Order | None:
        return await self._one(self._by_id(order_id))

    async def order_for_update(self, order_id: str) -> Order | None:
        """Read what this transaction is about to change; another one that wants the same waits."""
        return await self._one(self._by_id(order_id).with_for_update(key_share=True))

    async def orders(self, limit: int) -> Sequence[Order]:
        """In the order of their ids."""
        rows = await self._executor.rows(self._select(t.ShopOrder).order_by(t.ShopOrder.id).limit(limit))
        return [_order(row) for row in rows]

    async def put_orders(self, orders: Sequence[Order]) -> None:
        """Store orders; those whose id is taken are left as they are.

        Raises:
            NotFound: there is no such tenant.
        """
        if orders:
            rows = [_columns(order) for order in orders]
            await self._add(
                t.ShopOrder,
                *rows,
                refine=lambda insert: insert.on_conflict_do_nothing(),
                missing="There is no such tenant.",
            )

    async def update_order(self, order: Order) -> None:
        """Write every field that can change.

        Raises:
            NotFound: the order is not there.
        """
        columns = {name: value for name, value in _columns(order).items() if name not in _UNCHANGING}
        statement = self._update(t.ShopOrder).where(t.ShopOrder.id == order.id)
        found(await self._executor.change(statement, columns) or None, "order")

    async def add_coupon(self, coupon: Coupon) -> None:
        """Raises: NotFound, if there is no such tenant."""
        columns = {name: getattr(coupon, name) for name in Coupon.__struct_fields__}
        await self._add(t.ShopCoupon, columns, missing="There is no such tenant.")

    async def coupons(self, limit: int) -> Sequence[Coupon]:
        """In the order of their codes."""
        rows = await self._executor.rows(self._select(t.ShopCoupon).order_by(t.ShopCoupon.code).limit(limit))
        return [Coupon(**{name: getattr(row, name) for name in Coupon.__struct_fields__}) for row in rows]

    async def action(self, key: str) -> Any | None:
        """What came of the call with this idempotency key; None if there was none."""
        return await self._executor.scalar(
            self._select(t.ShopAction, t.ShopAction.answer).where(t.ShopAction.key == key)
        )

    async def keep_action(self, key: str, answer: Any) -> bool:
        """Write down what came of a call, for those that repeat it.

        False if somebody was faster: then roll back, and answer what `action` finds. Waits for another transaction that
        is just keeping something under the same key.

        Raises:
            NotFound: there is no such tenant.
        """
        row = {"key": key, "answer": answer}
        kept = await self._add(
            t.ShopAction,
            row,
            refine=lambda insert: insert.on_conflict_do_nothing(),
            missing="There is no such tenant.",
        )
        return kept == 1

    def _by_id(self, order_id: str) -> sa.Select[Any]:
        return self._select(t.ShopOrder).where(t.ShopOrder.id == order_id)

    async def _one(self, statement: sa.Select[Any]) -> Order | None:
        row = await self._executor.row(statement)
        return None if row is None else _order(row)


def _columns(order: Order) -> dict[str, Any]:
    return {name: getattr(order, name) for name in _ORDER_FIELDS}


def _order(row: sa.Row[Any]) -> Order:
    return Order(**{name: getattr(row, name) for name in _ORDER_FIELDS})
