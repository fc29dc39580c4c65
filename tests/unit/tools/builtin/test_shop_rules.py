"""What the demo shop allows."""

import re
from datetime import timedelta

import pytest

from retinue.domain.shop import OrderStatus
from retinue.tools.builtin.shop.port import Status
from retinue.tools.builtin.shop.rules import cancelled, discounted, new_coupon, total_due, unknown_order
from tests.unit.tools.builtin.calls import NOON, TENANT, an_order

LATER = NOON + timedelta(hours=1)


def test_an_order_in_the_house_is_cancelled() -> None:
    order, answer = cancelled(an_order(), LATER)
    assert (order.status, order.updated_at) == (OrderStatus.CANCELLED, LATER)
    assert (answer.status, answer.order_id) == (Status.CANCELLED, "1042")


@pytest.mark.parametrize("status", [OrderStatus.SHIPPED, OrderStatus.DELIVERED])
def test_an_order_on_its_way_stays(status: OrderStatus) -> None:
    before = an_order(status=status)
    order, answer = cancelled(before, LATER)
    assert order is before
    assert answer.status is Status.DECLINED
    assert status.value in answer.message


def test_cancelling_twice_changes_nothing_more() -> None:
    once, _ = cancelled(an_order(), NOON)
    twice, answer = cancelled(once, LATER)
    assert twice is once
    assert answer.status is Status.CANCELLED


@pytest.mark.parametrize("status", [OrderStatus.PROCESSING, OrderStatus.SHIPPED])
@pytest.mark.parametrize("percent", [1, 15, 100])
def test_a_discount(status: OrderStatus, percent: int) -> None:
    order, answer = discounted(an_order(status=status), LATER, percent=percent)
    assert (order.discount_percent, order.updated_at, order.total_cents) == (percent, LATER, 4990)
    assert (answer.status, answer.discount_percent) == (Status.APPLIED, percent)
    assert answer.total_due == total_due(order)


@pytest.mark.parametrize("status", [OrderStatus.CANCELLED, OrderStatus.DELIVERED])
def test_no_discount_on_what_is_over(status: OrderStatus) -> None:
    before = an_order(status=status)
    order, answer = discounted(before, LATER, percent=10)
    assert order is before
    assert answer.status is Status.DECLINED


def test_discounts_do_not_add_up() -> None:
    once, _ = discounted(an_order(), NOON, percent=20)
    same, again = discounted(once, LATER, percent=20)
    smaller, declined = discounted(once, LATER, percent=19)
    larger, applied = discounted(once, LATER, percent=21)
    assert (same, smaller) == (once, once)
    assert (again.status, declined.status, applied.status) == (Status.APPLIED, Status.DECLINED, Status.APPLIED)
    assert (declined.discount_percent, larger.discount_percent) == (20, 21)


@pytest.mark.parametrize(
    ("cents", "percent", "due"),
    [(4990, 0, "49.90 EUR"), (4990, 15, "42.42 EUR"), (1, 50, "0.01 EUR"), (999, 100, "0.00 EUR"), (5, 0, "0.05 EUR")],
)
def test_what_is_due(cents: int, percent: int, due: str) -> None:
    assert total_due(an_order(total_cents=cents, discount_percent=percent)) == due


def test_a_coupon() -> None:
    coupon, answer = new_coupon(TENANT, NOON, percent=25, days=30)
    assert re.fullmatch(r"SAVE25-[0-9A-F]{8}", coupon.code)
    assert (coupon.tenant_id, coupon.discount_percent) == (TENANT, 25)
    assert (coupon.created_at, coupon.expires_at) == (NOON, NOON + timedelta(days=30))
    assert (answer.status, answer.code, answer.expires_at) == (Status.GENERATED, coupon.code, coupon.expires_at)


def test_no_two_coupons_are_the_same() -> None:
    assert len({new_coupon(TENANT, NOON, percent=5, days=1)[0].code for _ in range(100)}) == 100


def test_an_order_that_there_is_not() -> None:
    assert unknown_order("7").status is Status.ERROR
