"""The demo shop."""

import asyncio

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from retinue.domain.shop import OrderStatus
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import LATER, a_coupon, an_order


async def test_orders_come_back_as_they_went_in(database: Database, tenant: Tenant) -> None:
    full = an_order(tenant)
    plain = an_order(tenant, id="0999", discount_percent=0, carrier=None, tracking_number=None, expected_at=None)
    async with database.unit(tenant.id) as unit:
        await unit.shop.put_orders([full, plain])
        await unit.shop.put_orders([])
        assert await unit.shop.order("1042") == full
        assert await unit.shop.order_for_update("0999") == plain
        assert await unit.shop.order("nope") is None
        assert await unit.shop.order_for_update("nope") is None
        assert await unit.shop.orders(9) == [plain, full]
        assert await unit.shop.orders(1) == [plain]


async def test_orders_that_are_there_stay_as_they_are(database: Database, tenant: Tenant) -> None:
    first, again, other = an_order(tenant), an_order(tenant, item="Sofa"), an_order(tenant, id="2")
    async with database.unit(tenant.id) as unit:
        await unit.shop.put_orders([first])
        await unit.shop.put_orders([again, other])
        assert await unit.shop.orders(9) == [first, other]


async def test_an_order_is_changed(database: Database, tenant: Tenant) -> None:
    order, other = an_order(tenant), an_order(tenant, id="2")
    changed = msgspec.structs.replace(
        order, status=OrderStatus.CANCELLED, discount_percent=0, carrier=None, updated_at=LATER
    )
    async with database.unit(tenant.id) as unit:
        await unit.shop.put_orders([order, other])
        await unit.shop.update_order(changed)
        assert await unit.shop.orders(9) == [changed, other]
        with pytest.raises(NotFound):
            await unit.shop.update_order(an_order(tenant, id="nope"))


async def test_coupons_are_kept(database: Database, tenant: Tenant) -> None:
    second, first = a_coupon(tenant, code="SAVE20-0"), a_coupon(tenant)
    async with database.unit(tenant.id) as unit:
        await unit.shop.add_coupon(second)
        await unit.shop.add_coupon(first)
        assert await unit.shop.coupons(9) == [first, second]


async def test_what_came_of_a_call_is_kept_once(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        assert await unit.shop.action("run:1") is None
        assert await unit.shop.keep_action("run:1", {"status": "applied", "n": [None]})
        assert not await unit.shop.keep_action("run:1", {"status": "other"})
        assert await unit.shop.keep_action("run:2", {"status": "declined"})
        assert await unit.shop.action("run:1") == {"status": "applied", "n": [None]}


async def test_of_many_calls_with_one_key_one_acts(database: Database, tenant: Tenant) -> None:
    async def act(number: int) -> bool:
        async with database.unit(tenant.id) as unit:
            return await unit.shop.keep_action("run:1", number)

    assert sorted(await asyncio.gather(*(act(number) for number in range(20)))) == [False] * 19 + [True]


async def test_every_tenant_has_a_shop_of_its_own(database: Database, tenant: Tenant, neighbour: Tenant) -> None:
    for owner in (tenant, neighbour):
        async with database.unit(owner.id) as unit:
            await unit.shop.put_orders([an_order(owner, customer=owner.slug)])
            await unit.shop.add_coupon(a_coupon(owner))
            assert await unit.shop.keep_action("run:1", owner.slug)
    async with database.unit(tenant.id) as unit:
        assert [order.customer for order in await unit.shop.orders(9)] == [tenant.slug]
        assert await unit.shop.action("run:1") == tenant.slug


async def test_a_shop_goes_with_its_tenant(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        await unit.shop.put_orders([an_order(tenant)])
        await unit.shop.add_coupon(a_coupon(tenant))
        await unit.shop.keep_action("run:1", 1)
    async with database.operator() as operator:
        await operator.tenants.delete(tenant.id)
    async with database.unit(tenant.id, read_only=True) as unit:
        assert await unit.shop.orders(9) == []
        assert await unit.shop.coupons(9) == []
        assert await unit.shop.action("run:1") is None


async def test_nobody_has_no_shop(database: Database) -> None:
    nobody = Tenant(id=new_id(), name="", slug="", created_at=LATER, updated_at=LATER)
    with pytest.raises(NotFound):
        async with database.unit(nobody.id) as unit:
            await unit.shop.put_orders([an_order(nobody)])
