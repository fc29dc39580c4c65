"""What one process does, the others know soon. No test waits: the memories' clock is the test's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from retinue.db.session import Database
from retinue.domain.access import SCOPES_OF, Role, Scope
from retinue.domain.errors import Unauthenticated
from retinue.domain.ids import new_id
from retinue.domain.tenants import Tenant
from retinue.security.authentication import Authenticator
from retinue.security.key_book import FRESH_SECONDS, USE_SECONDS, KeyBook
from retinue.security.key_text import KeyText, make_key
from retinue.security.principal import Principal
from retinue.security.tokens import Claims, sign
from tests.contract.http.door import KEYRING
from tests.contract.repositories.builders import a_tenant
from tests.contract.repositories.credentials import an_api_key
from tests.support.roles import open_database, superuser_url

PROMISED = 5.0


class Replica:
    """A process's knowledge of who may come in."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self.database = database
        self.book = KeyBook(database, clock)
        self.authenticator = Authenticator("the-operator-key", self.book, database, KEYRING)

    async def lets_in(self, credential: str) -> Principal | None:
        try:
            return await self.authenticator.principal(credential.encode())
        except Unauthenticated:
            return None


class World:
    def __init__(self, database: Database) -> None:
        self.now = 1_000.0
        self.tenant = a_tenant(slug=f"t-{new_id().hex[-8:]}")
        self.database = database
        self.here, self.there = Replica(database, lambda: self.now), Replica(database, lambda: self.now)

    async def key(self, role: Role = Role.MEMBER, *, of: Tenant | None = None) -> KeyText:
        tenant = of or self.tenant
        text = make_key(new_id())
        digest = (await self.here.authenticator.secrets()).digest(text.write())
        async with self.database.unit(tenant.id) as unit:
            await unit.api_keys.add(an_api_key(tenant, id=text.id, role=role), digest, seconds=None)
        return text

    async def token(self, key: KeyText, **changes: Any) -> str:
        claims = {
            "tenant_id": self.tenant.id,
            "key_id": key.id,
            "user_id": "user-1",
            "scopes": (Scope.CONVERSATIONS_READ, Scope.CONVERSATIONS_WRITE),
            "expires": 32_503_680_000,
        }
        return sign(Claims(**{**claims, **changes}), await self.here.authenticator.secrets())[1]


@pytest.fixture
async def world(migrated_url: str) -> AsyncIterator[World]:
    database = open_database(migrated_url, pool_size=5)
    world = World(database)
    async with database.operator() as unit:
        await unit.tenants.add(world.tenant)
    yield world
    await database.aclose()


async def revoke(world: World, key: KeyText) -> None:
    async with world.database.unit(world.tenant.id) as unit:
        await unit.api_keys.revoke(key.id)


async def end(world: World, key: KeyText) -> None:
    async with world.database.unit(world.tenant.id) as unit:
        await unit.api_keys.end_within(key.id, 0)


async def delete(world: World, _: KeyText) -> None:
    async with world.database.operator() as unit:
        await unit.tenants.delete(world.tenant.id)


@pytest.mark.parametrize("change", [revoke, end, delete])
async def test_what_ends_elsewhere_ends_here_within_five_seconds(
    world: World, change: Callable[[World, KeyText], Awaitable[None]]
) -> None:
    key = await world.key()
    credentials = [key.write(), await world.token(key)]
    for replica in (world.here, world.there):
        assert all([await replica.lets_in(each) for each in credentials])
    await change(world, key)
    world.here.book.forget(key.id)
    assert [await world.here.lets_in(each) for each in credentials] == [None, None], "at once where it was done"
    world.now += FRESH_SECONDS
    assert FRESH_SECONDS < PROMISED
    assert [await world.there.lets_in(each) for each in credentials] == [None, None]


async def test_a_key_is_looked_up_once_for_all_who_come_with_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[UUID] = []
    read = world.here.book._read_key

    async def reading(key_id: UUID) -> Any:
        asked.append(key_id)
        return await read(key_id)

    monkeypatch.setattr(world.here.book._keys, "_ask", reading)
    unknown, known = make_key(new_id()), await world.key()
    for text, lets_in in ((unknown, False), (known, True)):
        found = await asyncio.gather(*(world.here.lets_in(text.write()) for _ in range(100)))
        assert {principal is not None for principal in found} == {lets_in}
    assert asked == [unknown.id, known.id]
    for damaged in ("rtn_key_nonsense", unknown.write()[:-1], unknown.write().upper()):
        assert await world.here.lets_in(damaged) is None
    assert len(asked) == 2, "what cannot be a key is looked up nowhere"


async def test_a_wrong_secret_with_a_right_id_opens_nothing(world: World) -> None:
    key = await world.key()
    for secret in (make_key(key.id).secret, key.secret[::-1], key.secret[:-1] + "g", key.secret * 2):
        assert await world.here.lets_in(KeyText("key", key.id, secret).write()) is None
    assert await world.here.lets_in(key.write()) is not None


async def test_a_key_means_its_tenant_and_its_role(world: World) -> None:
    for role in Role:
        key = await world.key(role)
        principal = await world.there.lets_in(key.write())
        assert principal is not None
        assert (principal.kind, principal.tenant_id, principal.key_id) == ("key", world.tenant.id, key.id)
        assert principal.scopes == SCOPES_OF[role]
        assert not principal.is_restricted


async def test_a_token_has_no_more_than_its_key_has_now(world: World, migrated_url: str) -> None:
    key = await world.key()
    token = await world.token(key)
    principal = await world.here.lets_in(token)
    assert principal is not None
    assert principal.scopes == {Scope.CONVERSATIONS_READ, Scope.CONVERSATIONS_WRITE}
    engine = create_async_engine(superuser_url(migrated_url))
    async with engine.begin() as connection:
        # Nothing in Retinue changes a role; a token must not depend on that.
        await connection.execute(sa.text("UPDATE api_keys SET role = 'viewer'"))
    await engine.dispose()
    world.now += FRESH_SECONDS
    principal = await world.here.lets_in(token)
    assert principal is not None
    assert principal.scopes == {Scope.CONVERSATIONS_READ}


async def test_a_token_of_another_tenant_s_key_opens_nothing(world: World) -> None:
    """Only who has the signing secret could make one; and even then."""
    other = a_tenant(slug="other")
    async with world.database.operator() as unit:
        await unit.tenants.add(other)
    foreign = await world.key(of=other)
    assert await world.here.lets_in(await world.token(foreign)) is None
    assert await world.here.lets_in(await world.token(foreign, tenant_id=other.id)) is not None
    assert await world.here.lets_in(await world.token(make_key(new_id()))) is None


async def test_an_expired_token_opens_nothing(world: World) -> None:
    key = await world.key()
    assert await world.here.lets_in(await world.token(key, expires=1_000_000_000)) is None


async def test_the_operator_needs_no_database(world: World) -> None:
    await world.database.aclose()
    principal = await world.here.lets_in("the-operator-key")
    assert principal is not None
    assert principal.is_operator


async def test_uses_are_written_together_and_once_a_minute(world: World) -> None:
    used, idle = await world.key(), await world.key()
    for _ in range(5):
        assert await world.here.lets_in(used.write())
    assert await world.here.lets_in(KeyText("key", idle.id, used.secret).write()) is None
    assert await world.here.lets_in(await world.token(idle)) is not None
    assert world.here.book._used == {used.id}, "a wrong key and a token are no use of the key"
    await world.here.book.write_uses()
    first = await last_used(world, used)
    assert (first is not None, await last_used(world, idle)) == (True, None)
    assert world.here.book._used == set()
    world.now += USE_SECONDS - 1
    await world.here.lets_in(used.write())
    await world.here.book.write_uses()
    assert await last_used(world, used) == first
    world.now += 1
    await world.here.lets_in(used.write())
    await world.here.book.write_uses()
    assert await last_used(world, used) > first


async def last_used(world: World, key: KeyText) -> Any:
    async with world.database.unit(world.tenant.id, read_only=True) as unit:
        return (await unit.api_keys.get(key.id)).last_used_at
