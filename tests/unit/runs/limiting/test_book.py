"""Limits in force: fresh enough, few enough, and there even while the database is not."""

import asyncio
from uuid import UUID

import pytest

from retinue.domain.errors import Unavailable
from retinue.domain.ids import new_id, now
from retinue.domain.limits import NO_BOUNDS, Asker, Bounds, Limits, StoredLimits, buckets
from retinue.runs.limiting import book as module
from retinue.runs.limiting.book import LimitsBook
from tests.unit.runs.conftest import World
from tests.unit.runs.limiting.bounds import runs

DEFAULTS = Limits(tenant=Bounds(requests_per_minute=60, concurrent_runs=0), user=Bounds(tokens_per_minute=7))


class Counted(LimitsBook):
    reads = 0

    async def _read(self, tenant_id: UUID) -> Limits:
        self.reads += 1
        return await super()._read(tenant_id)


async def put(world: World, limits: Limits) -> None:
    async with world.database.unit(world.tenant.id) as unit:
        await unit.limits.put(StoredLimits(limits=limits, updated_at=now()))


async def test_what_nobody_chose_is_the_servers_default(world: World) -> None:
    book = LimitsBook(world.database, DEFAULTS)
    expected = Limits(tenant=Bounds(requests_per_minute=60), user=Bounds(tokens_per_minute=7))
    assert await book.of(world.tenant.id) == expected
    assert await book.of(new_id()) == expected
    await put(world, Limits(tenant=Bounds(requests_per_minute=0, concurrent_runs=3)))
    book.forget(world.tenant.id)
    assert await book.of(world.tenant.id) == Limits(tenant=Bounds(concurrent_runs=3), user=Bounds(tokens_per_minute=7))


async def test_many_requests_ask_the_database_once(world: World) -> None:
    book = Counted(world.database, DEFAULTS)
    await asyncio.gather(*(book.of(world.tenant.id) for _ in range(50)))
    await book.of(world.tenant.id)
    assert book.reads == 1


async def test_a_change_elsewhere_is_seen_in_less_than_five_seconds(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert module.FRESH_SECONDS < 5
    book = LimitsBook(world.database, NO_BOUNDS)
    assert await book.of(world.tenant.id) == NO_BOUNDS
    await put(world, runs(2))
    assert await book.of(world.tenant.id) == NO_BOUNDS
    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    assert await book.of(world.tenant.id) == runs(2)


async def test_without_a_database_what_was_known_last_holds(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await put(world, runs(2))
    book = LimitsBook(world.database, DEFAULTS)
    await book.of(world.tenant.id)

    async def away(_tenant_id: UUID) -> Limits:
        raise Unavailable

    monkeypatch.setattr(module, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(book, "_read", away)
    assert (await book.of(world.tenant.id)).tenant.concurrent_runs == 2
    assert await book.of(new_id()) == DEFAULTS.in_force(NO_BOUNDS)


async def test_it_remembers_only_so_many(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_TENANTS", 3)
    book = LimitsBook(world.database, NO_BOUNDS)
    for _ in range(9):
        await book.of(new_id())
    assert len(book._known) == 3


def test_who_has_no_key_or_user_has_no_bucket_for_it() -> None:
    limits = Limits(**{party: Bounds(requests_per_minute=1) for party in ("tenant", "key", "user")})
    tenant_id = new_id()
    found = buckets(limits, Asker(tenant_id=tenant_id, key_id=new_id()), "requests")
    assert [bucket.party for bucket in found] == ["tenant", "key"]
    assert buckets(limits, Asker(tenant_id=tenant_id), "tokens") == ()
