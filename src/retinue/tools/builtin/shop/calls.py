"""What the shop's tools have in common."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import msgspec

from retinue.domain.errors import ToolError, Unavailable
from retinue.domain.shop import Order
from retinue.domain.tools import ToolErrorKind
from retinue.tools.base import Caller
from retinue.tools.builtin.failures import invalid
from retinue.tools.builtin.shop.port import Shop

TOUCHES = "orders and coupons of the tenant's shop"

OrderId = Annotated[
    str,
    msgspec.Meta(
        description="The number of the order as the customer gives it, such as 1042.",
        min_length=1,
        max_length=64,
    ),
]
Percent = Annotated[int, msgspec.Meta(description="The discount in percent, a whole number.", ge=1, le=100)]


class OrderArguments(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    order_id: OrderId


def as_kept(order_id: str) -> str:
    """People write an order's number with a hash in front of it. In one line, as it is shown to whoever decides."""
    return " ".join(order_id.split()).removeprefix("#").lstrip()


async def find_order(shop: Shop, caller: Caller, order_id: str) -> Order:
    """The tenant's order of that number.

    Raises:
        ToolError: `order_not_found`, or the shop cannot be reached.
    """
    with unavailable_is_transient():
        order = await shop.order(caller.tenant_id, as_kept(order_id))
    if order is None:
        raise invalid(f"There is no order {as_kept(order_id)!r}. Ask for its number.", code="order_not_found")
    return order


@contextmanager
def unavailable_is_transient() -> Iterator[None]:
    try:
        yield
    except Unavailable:
        raise ToolError(
            "The shop cannot be reached now.", kind=ToolErrorKind.TRANSIENT, code="shop_unavailable"
        ) from None
