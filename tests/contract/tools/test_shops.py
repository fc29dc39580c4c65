"""The shop on the database: what it promises to the tools that change something."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from uuid import UUID

import msgspec
import pytest

from retinue.app.shop import DatabaseShop
from retinue.db.session import Database, Unit
from retinue.domain.errors import StorageFailed, ToolError, Unavailable
from retinue.domain.shop import Coupon, Order, OrderStatus
from retinue.domain.tenants import Tenant
from retinue.tools.builtin.shop.changes import CancelOrder
from retinue.tools.builtin.shop.lookups import GetOrderStatus
from retinue.tools.builtin.shop.port import Answer, Status
from retinue.tools.builtin.shop.rules import cancelled, discounted, new_coupon
from tests.support.roles import open_database
from tests.unit.tools.builtin.calls import CALLER, an_order, called

COUPON = partial(new_coupon, percent=10, days=30)


@pytest.fixture
def shop(database: Database) -> DatabaseShop:
    return DatabaseShop(database)


@pytest.fixture(autouse=True)
async def orders(database: Database, tenant: Tenant, neighbour: Tenant) -> None:
    for owner in (tenant, neighbour):
        async with database.unit(owner.id) as unit:
            await unit.shop.put_orders([an_order(tenant_id=owner.id), an_order(id="7", tenant_id=owner.id)])


async def order(shop: DatabaseShop, tenant: Tenant, order_id: str = "1042") -> Order:
    found = await shop.order(tenant.id, order_id)
    assert found is not None
    return found


async def coupons(database: Database, tenant: Tenant) -> Sequence[Coupon]:
    async with database.unit(tenant.id, read_only=True) as unit:
        return await unit.shop.coupons(100)


async def test_a_change_is_stored_for_its_tenant_alone(shop: DatabaseShop, tenant: Tenant, neighbour: Tenant) -> None:
    before = await order(shop, tenant)
    answer = await shop.change_order(tenant.id, "1042", cancelled, key="run:1")
    after = await order(shop, tenant)
    assert answer.status is Status.CANCELLED
    assert after.status is OrderStatus.CANCELLED
    assert abs(after.updated_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert msgspec.structs.replace(after, status=before.status, updated_at=before.updated_at) == before
    assert (await order(shop, neighbour)).status is OrderStatus.PROCESSING
    assert (await order(shop, tenant, "7")).status is OrderStatus.PROCESSING


async def test_an_order_that_there_is_not(shop: DatabaseShop, tenant: Tenant) -> None:
    assert await shop.order(tenant.id, "8") is None
    assert (await shop.change_order(tenant.id, "8", cancelled, key="run:1")).status is Status.ERROR


async def test_a_repeated_key_changes_nothing_and_answers_the_same(shop: DatabaseShop, tenant: Tenant) -> None:
    first = await shop.change_order(tenant.id, "1042", partial(discounted, percent=10), key="run:1")
    again = await shop.change_order(tenant.id, "1042", partial(discounted, percent=50), key="run:1")
    assert first == again
    assert (await order(shop, tenant)).discount_percent == 10


async def test_a_declined_change_is_declined_again(shop: DatabaseShop, tenant: Tenant) -> None:
    """Also where it would be allowed by now."""
    await shop.change_order(tenant.id, "1042", partial(discounted, percent=20), key="run:1")
    declined = await shop.change_order(tenant.id, "1042", partial(discounted, percent=10), key="run:2")
    assert declined.status is Status.DECLINED
    assert await shop.change_order(tenant.id, "1042", partial(discounted, percent=30), key="run:2") == declined


async def test_keys_are_the_tenants_own(shop: DatabaseShop, tenant: Tenant, neighbour: Tenant) -> None:
    for owner in (tenant, neighbour):
        await shop.change_order(owner.id, "1042", cancelled, key="run:1")
        assert (await order(shop, owner)).status is OrderStatus.CANCELLED


async def test_a_coupon_is_made_once_per_key(shop: DatabaseShop, database: Database, tenant: Tenant) -> None:
    first = await shop.issue_coupon(tenant.id, COUPON, key="run:1")
    assert await shop.issue_coupon(tenant.id, COUPON, key="run:1") == first
    second = await shop.issue_coupon(tenant.id, COUPON, key="run:2")
    assert {coupon.code for coupon in await coupons(database, tenant)} == {first.code, second.code}


async def test_the_same_key_at_the_same_time(shop: DatabaseShop, database: Database, tenant: Tenant) -> None:
    """Two processes that both think that the call is theirs."""
    issued = await asyncio.gather(*(shop.issue_coupon(tenant.id, COUPON, key="run:1") for _ in range(5)))
    changed = await asyncio.gather(
        *(
            shop.change_order(tenant.id, "1042", partial(discounted, percent=percent), key="run:2")
            for percent in (10, 20, 30, 40, 50)
        )
    )
    assert len({answer.code for answer in issued}) == len(await coupons(database, tenant)) == 1
    assert {answer.discount_percent for answer in changed} == {(await order(shop, tenant)).discount_percent}


async def test_whoever_is_slower_leaves_no_trace(shop: DatabaseShop, database: Database, tenant: Tenant) -> None:
    """The same key is kept by somebody else between the look for it and the end."""
    if database.is_sqlite:
        pytest.skip("writers are serial there")
    theirs = Answer(status=Status.GENERATED, message="theirs", code="SAVE10-00000000")

    async def keep_first() -> None:
        async with database.unit(tenant.id) as unit:
            await unit.shop.keep_action("run:1", msgspec.to_builtins(theirs))

    looked, kept = asyncio.Event(), asyncio.Event()

    class Slow(DatabaseShop):
        async def _once(self, tenant_id: UUID, key: str, act: Callable[[Unit], Awaitable[Answer]]) -> Answer:
            async def acting(unit: Unit) -> Answer:
                looked.set()
                await kept.wait()
                return await act(unit)

            return await super()._once(tenant_id, key, acting)

    task = asyncio.create_task(Slow(database).issue_coupon(tenant.id, COUPON, key="run:1"))
    await looked.wait()
    await keep_first()
    kept.set()
    assert await task == theirs
    assert await coupons(database, tenant) == []


async def test_orders_wait_for_each_other(shop: DatabaseShop, tenant: Tenant) -> None:
    """Each change sees what the one before has made of the order: the discount only ever grows."""
    answers = await asyncio.gather(
        *(
            shop.change_order(tenant.id, "1042", partial(discounted, percent=percent), key=f"run:{percent}")
            for percent in range(1, 21)
        )
    )
    assert (await order(shop, tenant)).discount_percent == 20
    assert max(answer.discount_percent or 0 for answer in answers if answer.status is Status.APPLIED) == 20
    assert all((answer.discount_percent or 0) >= percent for percent, answer in enumerate(answers, 1))


async def test_a_rule_that_breaks_changes_nothing(shop: DatabaseShop, tenant: Tenant) -> None:
    def broken(order: Order, at: datetime) -> tuple[Order, Answer]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await shop.change_order(tenant.id, "1042", broken, key="run:1")
    assert (await shop.change_order(tenant.id, "1042", cancelled, key="run:1")).status is Status.CANCELLED


async def test_a_code_that_is_taken(shop: DatabaseShop, database: Database, tenant: Tenant) -> None:
    taken, _ = new_coupon(tenant.id, datetime(2026, 1, 1, tzinfo=UTC), percent=10, days=30)
    async with database.unit(tenant.id) as unit:
        await unit.shop.add_coupon(taken)
    codes = [taken.code, taken.code, "SAVE10-FFFFFFFF"]

    def unlucky(tenant_id: UUID, at: datetime) -> tuple[Coupon, Answer]:
        code = codes.pop(0)
        coupon, answer = COUPON(tenant_id, at)
        return msgspec.structs.replace(coupon, code=code), msgspec.structs.replace(answer, code=code)

    assert (await shop.issue_coupon(tenant.id, unlucky, key="run:1")).code == "SAVE10-FFFFFFFF"
    codes[:] = [taken.code] * 3
    with pytest.raises(StorageFailed):
        await shop.issue_coupon(tenant.id, unlucky, key="run:2")
    assert len(await coupons(database, tenant)) == 2


async def test_the_tools_work_on_it(shop: DatabaseShop, tenant: Tenant) -> None:
    caller = msgspec.structs.replace(CALLER, tenant_id=tenant.id)
    assert (await called(CancelOrder(shop), caller=caller, order_id="#1042"))["status"] == "cancelled"
    assert (await called(GetOrderStatus(shop), caller=caller, order_id="1042"))["status"] == "cancelled"
    for strange in ("1042\x00", "\ud800", "' OR '1'='1"):
        with pytest.raises(ToolError, match="There is no order"):
            await called(CancelOrder(shop), caller=caller, order_id=strange)


async def test_an_unreachable_database(tenant: Tenant) -> None:
    nowhere = open_database("postgresql+asyncpg://nobody@/none?host=/nowhere", command_timeout=1.0)
    shop = DatabaseShop(nowhere)
    with pytest.raises(Unavailable):
        await shop.order(tenant.id, "1042")
    with pytest.raises(Unavailable):
        await shop.issue_coupon(tenant.id, COUPON, key="run:1")
    await nowhere.aclose()
