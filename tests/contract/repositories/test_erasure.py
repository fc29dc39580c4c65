"""A deleted tenant does not exist, and then nothing of it is left."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.repositories.erasure import ERASED, Erasure
from retinue.db.session import Database
from retinue.domain.errors import NotFound, RetinueError
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import new_id
from retinue.domain.tenants import Tenant
from tests.contract.repositories.belongings import HANGINGS, KEY, READS, WRITES, Property
from tests.contract.repositories.builders import a_tenant, an_employee
from tests.contract.repositories.credentials import an_api_key
from tests.contract.repositories.test_isolation import theirs

__all__ = ["theirs"]
ORIGIN = "https://app.example.com"
AUDIT = {"audit.list", "audit.about", "audit.verify"}
KEPT = {"audit_entries", "audit_heads", "erasures", "tenants", "server_secrets"}


@pytest.fixture
async def deleted(database: Database, theirs: Property) -> UUID:
    tenant_id = theirs.run.tenant_id
    async with database.operator() as operator:
        await operator.tenants.delete(tenant_id)
    return tenant_id


async def count(database: Database, table: str, tenant_id: UUID) -> int:
    async with database.unit(tenant_id) as unit:
        rows = t.Base.metadata.tables[table]
        counted: int = await unit._executor.scalar(
            sa.select(sa.func.count()).select_from(rows).where(rows.c.tenant_id == tenant_id)
        )
    return counted


async def left(database: Database, tenant_id: UUID) -> dict[str, int]:
    """Rows, by table."""
    return {table: rows for table in ERASED if (rows := await count(database, table, tenant_id))}


async def erase(database: Database, tenant_id: UUID, limit: int = 100) -> dict[str, int]:
    async with database.operator() as operator:
        assert await operator.erasures.take(tenant_id, "me", 60) is not None
    for table in ERASED:
        removed = limit
        while removed == limit:
            async with database.unit(tenant_id) as unit:
                assert await unit.erasure.keep_lease("me", 60)
                removed = await unit.erasure.remove(table, limit)
    async with database.operator() as operator:
        ended = await operator.erasures.end(tenant_id, "me")
    assert ended is not None
    return ended.removed


def test_whatever_has_a_tenant_is_erased() -> None:
    """A table that is added some day, too."""
    owned = {table.name for table in t.Base.metadata.sorted_tables if "tenant_id" in table.columns}
    assert set(ERASED) == owned - KEPT
    assert {table.name for table in t.Base.metadata.sorted_tables} - owned <= KEPT


def test_what_refers_to_others_goes_before_them() -> None:
    for name in ERASED:
        for key in t.Base.metadata.tables[name].foreign_keys:
            above = key.column.table.name
            assert above in KEPT or ERASED.index(name) < ERASED.index(above)


async def test_a_deleted_tenant_is_not_there(database: Database, deleted: UUID, neighbour: Tenant) -> None:
    async with database.operator() as operator:
        assert await operator.tenants.find(deleted) is None
        assert [tenant.id for tenant in await operator.tenants.list(limit=9)] == [neighbour.id]
        for act in (operator.tenants.get(deleted), operator.tenants.delete(deleted)):
            with pytest.raises(NotFound):
                await act


async def test_its_slug_is_free_at_once_and_its_name_forgotten(
    database: Database, tenant: Tenant, deleted: UUID
) -> None:
    async with database.operator() as operator:
        assert await operator.tenants.find_by_slug(tenant.slug) is None
        await operator.tenants.add(a_tenant(slug=tenant.slug))
        row = await operator._executor.row(sa.select(t.Tenant).where(t.Tenant.id == deleted))
    assert row is not None
    assert (row.name, row.slug) == ("", f":{deleted}")


async def test_nothing_of_it_can_be_read(database: Database, theirs: Property, deleted: UUID) -> None:
    async with database.unit(deleted, read_only=True) as unit:
        seen = {name: await read(unit, theirs) for name, read in READS.items() if name not in AUDIT}
    assert {name: value for name, value in seen.items() if value} == {}


async def test_nothing_of_it_can_be_changed(database: Database, theirs: Property, deleted: UUID) -> None:
    before = await left(database, deleted)
    for name, write in WRITES.items():
        if name.startswith("erasure."):
            continue
        with suppress(NotFound):
            async with database.unit(deleted) as unit:
                assert not await write(unit, theirs), name
    assert await left(database, deleted) == before


async def test_the_answer_to_its_creation_is_forgotten(database: Database, tenant: Tenant) -> None:
    made, other = [IdempotencyKey(route="POST /api/v1/tenants", key=key, digest="d") for key in "ab"]
    async with database.operator() as operator:
        for key, answer in ((made, f'{{"id":"{tenant.id}","name":"Acme"}}'), (other, f'{{"id":"{new_id()}"}}')):
            await operator.idempotency.claim(key, keep_seconds=60)
            await operator.idempotency.keep(key, answer=answer.encode())
        await operator.tenants.delete(tenant.id)
    async with database.operator() as operator:
        assert await operator.idempotency.claim(made, keep_seconds=60) is None
        assert await operator.idempotency.claim(other, keep_seconds=60) is not None


async def test_a_stored_answer_is_not_given_again(database: Database, deleted: UUID) -> None:
    with pytest.raises(NotFound):
        async with database.unit(deleted) as unit:
            await unit.idempotency.claim(KEY, keep_seconds=60)


@pytest.mark.parametrize("hang", HANGINGS.values(), ids=HANGINGS)
async def test_what_is_hung_on_it_meanwhile_goes_too(
    database: Database, theirs: Property, deleted: UUID, hang: Callable[..., Awaitable[Any]]
) -> None:
    with suppress(RetinueError):
        async with database.unit(deleted) as unit:
            await hang(unit, theirs)
    await erase(database, deleted)
    assert await left(database, deleted) == {}


async def test_nothing_new_can_be_made_in_it(database: Database, tenant: Tenant, deleted: UUID) -> None:
    with pytest.raises(NotFound):
        async with database.unit(deleted) as unit:
            await unit.employees.add(an_employee(tenant, slug="new"))
    with pytest.raises(NotFound):
        async with database.unit(deleted) as unit:
            await unit.config.get_for_update()


async def test_no_id_leads_to_it(database: Database, theirs: Property, deleted: UUID) -> None:
    async with database.operator(read_only=True) as operator:
        for locate, an_id in (
            (operator.tenant_of_employee, theirs.employee.id),
            (operator.tenant_of_conversation, theirs.conversation.id),
            (operator.tenant_of_run, theirs.run.id),
            (operator.tenant_of_approval, theirs.approval.id),
        ):
            with pytest.raises(NotFound):
                await locate(an_id)


async def test_its_keys_and_origins_are_nobodys(database: Database, tenant: Tenant) -> None:
    key = an_api_key(tenant)
    async with database.unit(tenant.id) as unit:
        await unit.api_keys.add(key, b"digest", seconds=None)
        await unit.origins.replace([ORIGIN])
    async with database.operator() as operator:
        assert await operator.access.key(key.id) is not None
        assert await operator.access.live_keys([key.id]) == {key.id}
        assert await operator.access.lists_origin(ORIGIN, None)
        await operator.tenants.delete(tenant.id)
        assert await operator.access.key(key.id) is None
        assert await operator.access.live_keys([key.id]) == frozenset()
        assert not await operator.access.lists_origin(ORIGIN, None)
        assert not await operator.access.lists_origin(ORIGIN, tenant.id)


async def test_housekeeping_leaves_it_alone_and_ends_its_runs(
    database: Database, theirs: Property, deleted: UUID
) -> None:
    async with database.operator() as operator:
        assert await operator.renew_leases("me", [theirs.run.id], 60) == frozenset()
        assert await operator.cancel_requests([theirs.run.id]) == {theirs.run.id}
        for found in (
            await operator.active_runs_with_expired_lease(9),
            await operator.startable_conversations(9),
            await operator.expired_waits(9),
            await operator.prunable_runs(-60, 9),
            await operator.orphaned_calls(-60, 9),
        ):
            assert found == []


async def test_everything_goes_in_batches_and_is_counted(
    database: Database, theirs: Property, deleted: UUID, neighbour: Tenant
) -> None:
    async with database.unit(neighbour.id) as unit:
        await unit.employees.add(an_employee(neighbour))
    before = await left(database, deleted)
    assert len(before) > 10, "or this proves little"
    assert await erase(database, deleted, limit=1) == before
    assert await left(database, deleted) == {}
    assert await count(database, "employees", neighbour.id) == 1
    async with database.operator(read_only=True) as operator:
        assert await operator.erasures.list(9) == []
        assert await operator._executor.row(sa.select(t.Tenant).where(t.Tenant.id == deleted)) is None


async def test_the_trail_stays(database: Database, deleted: UUID) -> None:
    await erase(database, deleted)
    async with database.unit(deleted, read_only=True) as unit:
        assert [entry.action for entry in await unit.audit.list(limit=9)] == ["order.cancelled"]
        assert (await unit.audit.verify()).is_valid


async def test_one_process_has_an_erasure(database: Database, deleted: UUID) -> None:
    async def take(worker: str, seconds: float) -> Erasure | None:
        async with database.operator() as operator:
            return await operator.erasures.take(deleted, worker, seconds)

    async def keep(worker: str) -> bool:
        async with database.unit(deleted) as unit:
            return await unit.erasure.keep_lease(worker, 60)

    taken = await take("one", 60)
    assert taken is not None
    assert (taken.tenant_id, taken.removed, taken.age < 60) == (deleted, {}, True)
    assert await take("two", 60) is None
    assert await take("one", -1) is not None, "whoever has it may go on, and here gives it up"
    assert await take("two", 60) is not None
    assert [await keep("one"), await keep("two")] == [False, True]
    async with database.operator() as operator:
        assert await operator.erasures.end(deleted, "one") is None
        assert await operator.erasures.list(9) == [deleted]


async def test_tenants_that_were_never_there_are_no_erasures(database: Database) -> None:
    async with database.operator() as operator:
        assert await operator.erasures.take(new_id(), "me", 60) is None
        assert await operator.erasures.list(9) == []
