"""Keys, origins and the server's own secrets."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import msgspec
import pytest

from retinue.crypto import Keyring
from retinue.db.session import Database, OperatorUnit
from retinue.domain.access import ApiKey, Role, StoredKey
from retinue.domain.errors import NotFound, UnknownMasterKey
from retinue.domain.ids import new_id, now
from retinue.domain.tenants import Tenant
from retinue.security.secrets import load_server_secrets
from tests.contract.repositories.credentials import an_api_key

DIGEST = b"\x00digest\xff"
PAGE = "https://app.example.com"


async def add(database: Database, tenant: Tenant, *, seconds: float | None = None, name: str = "Backend") -> ApiKey:
    async with database.unit(tenant.id) as unit:
        return await unit.api_keys.add(an_api_key(tenant, name=name), DIGEST, seconds=seconds)


async def stored(database: Database, key_id: UUID) -> StoredKey | None:
    async with database.operator(read_only=True) as unit:
        return await unit.access.key(key_id)


async def test_a_key_comes_back_as_it_was_with_the_database_s_times(database: Database, tenant: Tenant) -> None:
    given = an_api_key(tenant, name="Schlüssel", role=Role.VIEWER, rotated_from=new_id(), created_by="key:x")
    async with database.unit(tenant.id) as unit:
        added = await unit.api_keys.add(given, DIGEST, seconds=60)
        at = await unit.clock()
    assert added.expires_at is not None
    assert timedelta(seconds=58) < added.expires_at - added.created_at < timedelta(seconds=62)
    assert abs(added.created_at - at) < timedelta(seconds=5)
    same = msgspec.structs.replace(added, created_at=given.created_at, expires_at=None)
    assert same == given
    async with database.unit(tenant.id, read_only=True) as unit:
        assert await unit.api_keys.get(given.id) == added
        assert await unit.api_keys.list(limit=9) == [added]
    assert await stored(database, given.id) == StoredKey(key=added, digest=DIGEST, is_live=True)


async def test_a_key_of_nobody_is_none(database: Database, tenant: Tenant) -> None:
    assert await stored(database, new_id()) is None
    async with database.unit(tenant.id, read_only=True) as unit:
        assert await unit.api_keys.find(new_id()) is None
        with pytest.raises(NotFound):
            await unit.api_keys.get(new_id())


async def test_a_missing_tenant_gets_no_key(database: Database, tenant: Tenant) -> None:
    with pytest.raises(NotFound):
        await add(database, msgspec.structs.replace(tenant, id=new_id()))


async def test_keys_are_listed_oldest_first(database: Database, tenant: Tenant) -> None:
    keys = [await add(database, tenant, name=str(number)) for number in range(4)]
    async with database.unit(tenant.id, read_only=True) as unit:
        assert [key.name for key in await unit.api_keys.list(limit=3)] == ["0", "1", "2"]
        assert [key.name for key in await unit.api_keys.list(limit=9, after=keys[2].id)] == ["3"]


async def test_a_key_ends_by_the_clock_of_the_database(database: Database, tenant: Tenant) -> None:
    """Whatever the process takes the time for."""
    over, not_yet = await add(database, tenant, seconds=-0.01), await add(database, tenant, seconds=60)
    found = [await stored(database, key.id) for key in (over, not_yet)]
    assert [key is not None and key.is_live for key in found] == [False, True]
    async with database.unit(tenant.id, read_only=True) as unit:
        assert [await unit.api_keys.is_live(key.id) for key in (over, not_yet)] == [False, True]


async def test_a_key_is_revoked_once(database: Database, tenant: Tenant) -> None:
    key = await add(database, tenant)
    async with database.unit(tenant.id) as unit:
        assert await unit.api_keys.revoke(key.id) is True
        revoked = await unit.api_keys.get(key.id)
        assert await unit.api_keys.revoke(key.id) is False
        assert (await unit.api_keys.get(key.id)).revoked_at == revoked.revoked_at is not None
    assert (found := await stored(database, key.id)) is not None
    assert not found.is_live


async def test_a_grace_period_shortens_and_never_lengthens(database: Database, tenant: Tenant) -> None:
    endless, short = await add(database, tenant), await add(database, tenant, seconds=30)
    async with database.unit(tenant.id) as unit:
        for key in (endless, short):
            await unit.api_keys.end_within(key.id, 3600)
        ends = (await unit.api_keys.get(endless.id)).expires_at
        assert ends is not None
        assert timedelta(minutes=59) < ends - await unit.clock() <= timedelta(hours=1)
        assert (await unit.api_keys.get(short.id)).expires_at == short.expires_at
        await unit.api_keys.end_within(endless.id, 0)
        assert not await unit.api_keys.is_live(endless.id)


async def test_live_keys_are_asked_for_together(database: Database, tenant: Tenant, neighbour: Tenant) -> None:
    keys = [await add(database, tenant), await add(database, neighbour), await add(database, tenant, seconds=-1)]
    revoked = await add(database, tenant)
    async with database.unit(tenant.id) as unit:
        await unit.api_keys.revoke(revoked.id)
    made_up = [new_id() for _ in range(2_500)]
    async with database.operator(read_only=True) as operator:
        asked = [*made_up, revoked.id, *(key.id for key in keys)]
        assert await operator.access.live_keys(asked) == {keys[0].id, keys[1].id}
        assert await operator.access.live_keys([]) == frozenset()


async def test_uses_are_noted_together(database: Database, tenant: Tenant, neighbour: Tenant) -> None:
    used, others, idle = await add(database, tenant), await add(database, neighbour), await add(database, tenant)
    async with database.operator() as operator:
        await operator.access.note_use([used.id, others.id, *(new_id() for _ in range(2_500))])
    found = [await stored(database, key.id) for key in (used, others, idle)]
    times = [key.key.last_used_at for key in found if key is not None]
    assert times[2] is None
    assert all(at is not None and abs(at - now()) < timedelta(seconds=30) for at in times[:2])


async def test_processes_note_the_same_uses_at_once(database: Database, tenant: Tenant) -> None:
    keys = [await add(database, tenant) for _ in range(30)]

    async def note(ids: list[UUID]) -> None:
        async with database.operator() as operator:
            await operator.access.note_use(ids)

    orders = [[key.id for key in keys], [key.id for key in reversed(keys)]] * 5
    await asyncio.gather(*map(note, orders))
    assert (found := await stored(database, keys[0].id)) is not None
    assert found.key.last_used_at is not None


async def test_a_deleted_tenant_has_neither_keys_nor_origins(database: Database, tenant: Tenant) -> None:
    key = await add(database, tenant)
    async with database.unit(tenant.id) as unit:
        await unit.origins.replace([PAGE])
    async with database.operator() as operator:
        await operator.tenants.delete(tenant.id)
    assert await stored(database, key.id) is None
    async with database.operator(read_only=True) as operator:
        assert await operator.access.live_keys([key.id]) == frozenset()
        assert not await operator.access.lists_origin(PAGE, None)
        assert not await operator.access.lists_origin(PAGE, tenant.id)


async def test_origins_are_replaced_as_a_whole(database: Database, tenant: Tenant, neighbour: Tenant) -> None:
    async with database.unit(neighbour.id) as unit:
        await unit.origins.replace([PAGE])
    async with database.unit(tenant.id) as unit:
        assert await unit.origins.replace(["https://b.example", "https://a.example"]) == []
        assert await unit.origins.replace([PAGE]) == ["https://a.example", "https://b.example"]
        assert await unit.origins.list() == [PAGE]
        assert await unit.origins.replace([]) == [PAGE]
    async with database.operator(read_only=True) as operator:
        assert await operator.access.lists_origin(PAGE, neighbour.id)
        assert await operator.access.lists_origin(PAGE, None)
        assert not await operator.access.lists_origin(PAGE, tenant.id)


@pytest.mark.parametrize(
    "other", ["https://APP.example.com", f"{PAGE}/", f"{PAGE}:8443", "http://app.example.com", "%"]
)
async def test_an_origin_is_exactly_that(database: Database, tenant: Tenant, other: str) -> None:
    async with database.unit(tenant.id) as unit:
        await unit.origins.replace([PAGE])
    async with database.operator(read_only=True) as operator:
        assert not await operator.access.lists_origin(other, None)


async def test_a_missing_tenant_lists_no_origins(database: Database) -> None:
    with pytest.raises(NotFound):
        async with database.unit(new_id()) as unit:
            await unit.origins.replace([PAGE])


async def test_processes_that_start_together_share_their_secrets(database: Database) -> None:
    keyring = Keyring({"k1": bytes(32)})
    loaded = await asyncio.gather(*(load_server_secrets(database, keyring) for _ in range(5)))
    assert len({secrets.digest("key") for secrets in loaded}) == 1
    assert len({secrets.signature(b"token") for secrets in loaded}) == 1
    assert loaded[0].digest("x") != loaded[0].signature(b"x"), "two secrets, not one"
    with pytest.raises(UnknownMasterKey):
        await load_server_secrets(database, Keyring({"k2": bytes(32)}))


async def test_a_secret_of_the_server_is_replaced_only_as_it_was_read(database: Database) -> None:
    async def act(unit: OperatorUnit) -> None:
        await unit.server_secrets.add("name", b"1")
        await unit.server_secrets.add("name", b"2")
        assert await unit.server_secrets.find("name") == b"1"
        assert await unit.server_secrets.replace("name", b"0", b"3") is False
        assert await unit.server_secrets.replace("name", b"1", b"3") is True
        assert await unit.server_secrets.find("name") == b"3"
        assert await unit.server_secrets.find("other") is None

    async with database.operator() as unit:
        await act(unit)


def test_a_stored_key_does_not_show_its_digest() -> None:
    tenant = Tenant(id=new_id(), name="", slug="", created_at=datetime.now(UTC), updated_at=datetime.now(UTC))
    key = StoredKey(key=an_api_key(tenant), digest=DIGEST, is_live=True)
    assert "digest" not in f"{key} {key!r}"
