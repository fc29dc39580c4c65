"""The shop's tools over a shop in memory."""

from typing import Any

import msgspec
import pytest

from retinue.domain.errors import ToolError
from retinue.domain.ids import new_id
from retinue.domain.shop import OrderStatus
from retinue.domain.tools import Effect, Risk, ToolErrorKind
from retinue.tools.base import Tool
from retinue.tools.builtin.shop.changes import ApplyDiscount, CancelOrder, GenerateCoupon
from retinue.tools.builtin.shop.lookups import GetOrderStatus, GetTrackingInfo
from tests.unit.tools.builtin.calls import CALLER, NOON, TENANT, MemoryShop, an_invocation, an_order, called

SHIPPED = an_order(
    id="7", status=OrderStatus.SHIPPED, carrier="DHL", tracking_number="JD01", expected_at=NOON, discount_percent=10
)


@pytest.fixture
def shop() -> MemoryShop:
    return MemoryShop(an_order(), SHIPPED, an_order(id="foreign", tenant_id=new_id()))


async def test_the_status_of_an_order(shop: MemoryShop) -> None:
    assert await called(GetOrderStatus(shop), order_id="7") == {
        "order_id": "7",
        "status": "shipped",
        "customer": "Ada",
        "item": "Desk lamp",
        "total_due": "44.91 EUR",
        "discount_percent": 10,
        "ordered_at": "2026-03-01T12:00:00Z",
        "expected_at": "2026-03-01T12:00:00Z",
    }


async def test_where_a_parcel_is(shop: MemoryShop) -> None:
    assert await called(GetTrackingInfo(shop), order_id="7") == {
        "order_id": "7",
        "status": "shipped",
        "message": "It is on its way.",
        "carrier": "DHL",
        "tracking_number": "JD01",
        "expected_at": "2026-03-01T12:00:00Z",
    }
    assert (await called(GetTrackingInfo(shop), order_id="1042"))["tracking_number"] is None


@pytest.mark.parametrize("status", OrderStatus)
async def test_every_status_has_its_words(status: OrderStatus) -> None:
    assert (await called(GetTrackingInfo(MemoryShop(an_order(status=status))), order_id="1042"))["message"]


@pytest.mark.parametrize("written", ["1042", "#1042", " 1042 ", " # 1042"])
async def test_numbers_as_people_write_them(shop: MemoryShop, written: str) -> None:
    assert (await called(GetOrderStatus(shop), order_id=written))["order_id"] == "1042"
    assert (await called(CancelOrder(shop), order_id=written))["order_id"] == "1042"


async def test_cancelling(shop: MemoryShop) -> None:
    assert (await called(CancelOrder(shop), order_id="1042"))["status"] == "cancelled"
    assert shop.orders[TENANT, "1042"].status is OrderStatus.CANCELLED
    assert (await called(CancelOrder(shop), key="run:2", order_id="7"))["status"] == "declined"


async def test_a_discount(shop: MemoryShop) -> None:
    answer = await called(ApplyDiscount(shop), order_id="1042", discount_percent=10)
    assert (answer["status"], answer["total_due"]) == ("applied", "44.91 EUR")
    assert shop.orders[TENANT, "1042"].discount_percent == 10


async def test_a_coupon_lasts_thirty_days(shop: MemoryShop) -> None:
    answer = await called(GenerateCoupon(shop), discount_percent=20)
    assert answer["status"] == "generated"
    assert answer["expires_at"] == "2026-03-31T12:00:00Z"
    assert [coupon.code for coupon in shop.coupons] == [answer["code"]]
    assert (await called(GenerateCoupon(shop), "k2", discount_percent=20, expiry_days=1))["expires_at"][
        :10
    ] == "2026-03-02"


CHANGES: list[tuple[type[CancelOrder | ApplyDiscount | GenerateCoupon], dict[str, Any]]] = [
    (CancelOrder, {"order_id": "1042"}),
    (ApplyDiscount, {"order_id": "1042", "discount_percent": 5}),
    (GenerateCoupon, {"discount_percent": 5}),
]


@pytest.mark.parametrize(("make", "args"), CHANGES)
async def test_a_change_hands_its_key_on(shop: MemoryShop, make: type[GenerateCoupon], args: dict[str, Any]) -> None:
    first = await called(make(shop), key="run:1", **args)
    again = await called(make(shop), key="run:1", **args)
    await called(make(shop), key="run:2", **args)
    assert first == again
    assert set(shop.answers) == {(TENANT, "run:1"), (TENANT, "run:2")}


@pytest.mark.parametrize(("make", "args"), CHANGES)
async def test_a_change_has_to_be_asked_for(shop: MemoryShop, make: type[GenerateCoupon], args: dict[str, Any]) -> None:
    tool = make(shop)
    assessment = await tool.assess(tool.read(args), CALLER)
    assert (assessment.effect, assessment.risk) == (Effect.IDEMPOTENT, Risk.MEDIUM)
    assert shop.answers == {}


async def test_whoever_decides_sees_the_order(shop: MemoryShop) -> None:
    tool = CancelOrder(shop)
    assessment = await tool.assess(tool.read({"order_id": "#7"}), CALLER)
    assert assessment.reason == "Order 7 of Ada: Desk lamp, 44.91 EUR, shipped."
    assert tool.question(tool.read({"order_id": "#7"})) == "Cancel order 7?"
    discount = ApplyDiscount(shop)
    assert discount.question(discount.read({"order_id": "7", "discount_percent": 30})) == "Take 30 % off order 7?"
    coupon = GenerateCoupon(shop)
    question = coupon.question(coupon.read({"discount_percent": 30, "expiry_days": 1}))
    assert question == "Make a coupon for 30 % off that can be used for 1 day?"


@pytest.mark.parametrize("make", [GetOrderStatus, GetTrackingInfo, CancelOrder])
@pytest.mark.parametrize("order_id", ["9999", "foreign", "#", "1042\x00", "' OR 1=1 --", "\ud800"])
async def test_nobody_is_asked_about_an_order_that_there_is_not(
    shop: MemoryShop, make: type[CancelOrder], order_id: str
) -> None:
    with pytest.raises(ToolError) as caught:
        await called(make(shop), order_id=order_id)
    assert caught.value.problem_code == "order_not_found"
    assert (caught.value.kind, caught.value.took_effect) == (ToolErrorKind.VALIDATION, False)


async def test_an_order_that_went_away_after_the_approval(shop: MemoryShop) -> None:
    answer = await CancelOrder(shop).run(CancelOrder(shop).read({"order_id": "9999"}), an_invocation())
    assert msgspec.to_builtins(answer)["status"] == "error"


@pytest.mark.parametrize(
    ("make", "args"), [*CHANGES, (GetOrderStatus, {"order_id": "1042"}), (GetTrackingInfo, {"order_id": "1042"})]
)
async def test_a_shop_that_cannot_be_reached(
    shop: MemoryShop, make: type[GenerateCoupon], args: dict[str, Any]
) -> None:
    """It may work later; and whether a change took place nobody knows until then."""
    tool: Tool[Any] = make(shop)
    shop.is_down = True
    with pytest.raises(ToolError) as caught:
        await tool.run(tool.read(args), an_invocation())
    assert (caught.value.kind, caught.value.problem_code) == (ToolErrorKind.TRANSIENT, "shop_unavailable")
    assert caught.value.took_effect is None


@pytest.mark.parametrize(
    ("make", "args"),
    [
        (ApplyDiscount, {"order_id": "1042", "discount_percent": 0}),
        (ApplyDiscount, {"order_id": "1042", "discount_percent": 101}),
        (ApplyDiscount, {"order_id": "1042", "discount_percent": 9.5}),
        (ApplyDiscount, {"order_id": "1042", "discount_percent": "10"}),
        (ApplyDiscount, {"order_id": "1042", "discount_percent": True}),
        (ApplyDiscount, {"discount_percent": 10}),
        (GenerateCoupon, {"discount_percent": 0}),
        (GenerateCoupon, {"discount_percent": 101}),
        (GenerateCoupon, {"discount_percent": 10, "expiry_days": 0}),
        (GenerateCoupon, {"discount_percent": 10, "expiry_days": 10**9}),
        (GenerateCoupon, {"discount_percent": 10, "expiry_days": None}),
        (CancelOrder, {"order_id": ""}),
        (CancelOrder, {"order_id": 1042}),
        (CancelOrder, {"order_id": "1" * 65}),
        (CancelOrder, {"order_id": "1042", "force": True}),
    ],
)
def test_bounds(shop: MemoryShop, make: type[GenerateCoupon], args: dict[str, Any]) -> None:
    with pytest.raises(ToolError) as caught:
        make(shop).read(args)
    assert caught.value.problem_code == "invalid_arguments"
