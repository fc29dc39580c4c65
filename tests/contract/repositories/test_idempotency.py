"""Idempotency records. What happens when two requests come at once is in `test_races.py`."""

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.errors import InvalidRequest, NotFound
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import new_id
from retinue.domain.tenants import Tenant

KEY = IdempotencyKey(route="POST /api/v1/conversations", key="k-1", digest="00ff")


async def test_the_second_request_learns_what_came_of_the_first(database: Database, tenant: Tenant) -> None:
    run_id = new_id()
    async with database.unit(tenant.id) as unit:
        assert await unit.idempotency.claim(KEY, keep_seconds=60) is None
        await unit.idempotency.keep(KEY, run_id=run_id)
    async with database.unit(tenant.id) as unit:
        record = await unit.idempotency.claim(KEY, keep_seconds=60)
        assert record is not None
        assert (record.route, record.key, record.digest) == (KEY.route, KEY.key, KEY.digest)
        assert (record.run_id, record.answer) == (run_id, None)
        await unit.idempotency.keep(KEY, answer=b'{"a":\xc3\xbc}')
        again = await unit.idempotency.claim(KEY, keep_seconds=60)
        assert again == msgspec.structs.replace(record, run_id=None, answer=b'{"a":\xc3\xbc}')


async def test_a_request_in_flight_is_known_too(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        await unit.idempotency.claim(KEY, keep_seconds=60)
    async with database.unit(tenant.id) as unit:
        record = await unit.idempotency.claim(KEY, keep_seconds=60)
        assert record is not None
        assert (record.run_id, record.answer) == (None, None)


async def test_a_key_belongs_to_one_request(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        await unit.idempotency.claim(KEY, keep_seconds=60)
        with pytest.raises(InvalidRequest) as caught:
            await unit.idempotency.claim(msgspec.structs.replace(KEY, digest="other"), keep_seconds=60)
        assert caught.value.problem_code == "idempotency_key_reused"
        for other in ({"key": "k-2"}, {"route": "POST /api/v1/employees"}):
            assert await unit.idempotency.claim(msgspec.structs.replace(KEY, **other), keep_seconds=60) is None


async def test_tenants_and_the_operator_do_not_share_keys(
    database: Database, tenant: Tenant, neighbour: Tenant
) -> None:
    for someone in (tenant, neighbour):
        async with database.unit(someone.id) as unit:
            assert await unit.idempotency.claim(KEY, keep_seconds=60) is None
    async with database.operator() as operator:
        assert await operator.idempotency.claim(KEY, keep_seconds=60) is None
        await operator.idempotency.keep(KEY, answer=b"{}")
    async with database.operator() as operator:
        record = await operator.idempotency.claim(KEY, keep_seconds=60)
        assert record is not None
        assert record.answer == b"{}"


async def test_a_forgotten_key_is_free(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        await unit.idempotency.claim(KEY, keep_seconds=60)
        await unit.idempotency.forget(KEY)
        assert await unit.idempotency.claim(KEY, keep_seconds=60) is None
        await unit.idempotency.forget(msgspec.structs.replace(KEY, key="never used"))


async def test_an_expired_record_counts_as_none(database: Database, tenant: Tenant) -> None:
    other = msgspec.structs.replace(KEY, digest="other")
    async with database.unit(tenant.id) as unit:
        await unit.idempotency.claim(KEY, keep_seconds=-1)
        await unit.idempotency.keep(KEY, run_id=new_id(), answer=b"old")
        assert await unit.idempotency.claim(other, keep_seconds=60) is None
        record = await unit.idempotency.claim(other, keep_seconds=60)
        assert record is not None
        assert (record.digest, record.run_id, record.answer) == ("other", None, None)


async def test_nothing_stays_of_a_request_that_failed(database: Database, tenant: Tenant) -> None:
    async def fail() -> None:
        async with database.unit(tenant.id) as unit:
            await unit.idempotency.claim(KEY, keep_seconds=60)
            await unit.conversations.get(new_id())

    with pytest.raises(NotFound):
        await fail()
    async with database.unit(tenant.id) as unit:
        assert await unit.idempotency.claim(KEY, keep_seconds=60) is None


async def test_expired_records_are_deleted_some_at_a_time(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        for number, seconds in enumerate((-3, -2, -1, 60)):
            await unit.idempotency.claim(msgspec.structs.replace(KEY, key=str(number)), keep_seconds=seconds)
    async with database.operator() as operator:
        await operator.idempotency.claim(KEY, keep_seconds=-4)
    deleted = []
    for _ in range(3):
        async with database.operator() as operator:
            deleted.append(await operator.delete_expired_idempotency(3))
    assert deleted == [3, 1, 0]
    async with database.unit(tenant.id) as unit:
        assert await unit.idempotency.claim(msgspec.structs.replace(KEY, key="3"), keep_seconds=60) is not None
