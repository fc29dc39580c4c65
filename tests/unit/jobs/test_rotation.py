"""Everything that is sealed moves to the newest master key, whatever else happens meanwhile."""

import asyncio
from contextvars import Context
from typing import Any
from uuid import UUID

import pytest
import sqlalchemy as sa

from retinue.crypto import Keyring, server_secret_place
from retinue.db import tables as t
from retinue.db.repositories.audit import NOBODY
from retinue.db.repositories.sealed import SEALED, SealedColumn, SealedValue, SealedValues
from retinue.db.session import Database
from retinue.domain.tenants import Tenant
from retinue.jobs.rotation import Standing, Unopened, rotate, standing
from retinue.runs.context import api_key_place
from tests.contract.repositories.builders import a_config, a_tenant
from tests.contract.repositories.conftest import database

__all__ = ["database"]
OLD, NEW = bytes(range(32)), bytes(range(32, 64))
BEFORE, BOTH, AFTER = Keyring({"old": OLD}), Keyring({"new": NEW, "old": OLD}), Keyring({"new": NEW})
TENANTS = 7
PATIENCE = 0.5
"""For a rotation that has to wait to have come as far as that."""
ALTERED = "it was altered or moved, or its master key has another value now"


async def store(database: Database, tenant: Tenant, keyring: Keyring, secret: str) -> None:
    config = a_config(tenant).config
    async with database.unit(tenant.id) as unit:
        await unit.config.put(a_config(tenant, sealed=keyring.seal(secret, api_key_place(config))))


async def key_of(database: Database, tenant: Tenant, keyring: Keyring) -> str:
    async with database.unit(tenant.id, read_only=True) as unit:
        stored = await unit.config.get()
    assert stored is not None
    assert stored.sealed_api_key is not None
    return keyring.open(stored.sealed_api_key, api_key_place(stored.config))


@pytest.fixture
async def tenants(database: Database) -> list[Tenant]:
    """With a key each, one without, and a secret of the server's own."""
    made = [a_tenant(slug=f"t{number}") for number in range(TENANTS + 1)]
    async with database.operator() as operator:
        for tenant in made:
            await operator.tenants.add(tenant)
        await operator.server_secrets.add("pepper", BEFORE.seal("pepper-value", server_secret_place("pepper")))
    for number, tenant in enumerate(made[:-1]):
        await store(database, tenant, BEFORE, f"secret-{number}")
    async with database.unit(made[-1].id) as unit:
        await unit.config.put(a_config(made[-1], sealed=None))
    return made[:-1]


async def damage(database: Database, tenant: Tenant, sealed: bytes) -> None:
    async with database.unit(tenant.id) as unit:
        await unit._executor.change(
            sa.update(t.TenantConfig).where(t.TenantConfig.tenant_id == tenant.id).values(sealed_api_key=sealed)
        )


def test_every_sealed_column_is_rotated() -> None:
    """One that is not here would be lost with the old key. It is called `sealed…`, as all of them are."""
    found = {
        (table.name, column.name)
        for table in t.Base.metadata.sorted_tables
        for column in table.columns
        if isinstance(column.type, sa.LargeBinary) and "sealed" in column.name
    }
    assert found == {(each.name, each.column) for each in SEALED}
    assert len(found) >= 2


def test_values_are_bound_to_the_places_that_the_rest_of_the_code_means() -> None:
    places = {each.name: each.place for each in SEALED}
    config = a_config(a_tenant()).config
    assert places["tenant_configs"](config.tenant_id) == api_key_place(config)
    assert places["server_secrets"]("x") == server_secret_place("x")


async def test_afterwards_the_old_key_is_not_needed(database: Database, tenants: list[Tenant]) -> None:
    assert await standing(database, BOTH) == Standing(values=TENANTS + 1, older=TENANTS + 1, unknown=0)
    done = await rotate(database, BOTH, page=3)
    assert (done.rewrapped, done.current, done.unopened, done.is_complete) == (TENANTS + 1, 0, [], True)
    assert [await key_of(database, each, AFTER) for each in tenants] == [f"secret-{n}" for n in range(TENANTS)]
    async with database.operator(read_only=True) as operator:
        pepper = await operator.server_secrets.find("pepper")
    assert pepper is not None
    assert AFTER.open(pepper, server_secret_place("pepper")) == "pepper-value"
    assert await standing(database, BOTH) == Standing(values=TENANTS + 1, older=0, unknown=0)
    again = await rotate(database, BOTH)
    assert (again.rewrapped, again.current) == (0, TENANTS + 1)


async def test_each_rotation_that_came_to_its_end_is_in_the_trail(database: Database, tenants: list[Tenant]) -> None:
    await rotate(database, BOTH)
    async with database.unit(NOBODY, read_only=True) as unit:
        (entry,) = await unit.audit.list(limit=9)
    assert (entry.action, entry.object_id, entry.actor) == ("master_keys.rotated", "new", "operator")
    assert entry.payload == {"rewrapped": len(tenants) + 1, "current": 0, "unopened": 0}


async def test_what_was_broken_off_goes_on(
    database: Database, tenants: list[Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    replace, calls = SealedValues.replace, 0

    async def die(self: SealedValues, column: SealedColumn, value: SealedValue, sealed: bytes) -> bool:
        nonlocal calls
        calls += 1
        if calls == 6:
            raise asyncio.CancelledError
        return await replace(self, column, value, sealed)

    monkeypatch.setattr(SealedValues, "replace", die)
    with pytest.raises(asyncio.CancelledError):
        await rotate(database, BOTH, page=2)
    monkeypatch.undo()
    left = (await standing(database, BOTH)).older
    assert 0 < left < TENANTS + 1, "whole pages are done, and the one that was broken off is not"
    assert (await rotate(database, BOTH)).rewrapped == left
    assert [await key_of(database, each, AFTER) for each in tenants] == [f"secret-{n}" for n in range(TENANTS)]


async def test_whoever_stores_another_key_meanwhile_wins(
    database: Database, tenants: list[Tenant], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the old key in front, as a replica does that has not got the new list yet."""
    page = SealedValues.page

    async def read_then_lose(self: SealedValues, column: SealedColumn, **where: Any) -> Any:
        values = await page(self, column, **where)
        chosen.extend(tenant for tenant in tenants if tenant.id in {value.key for value in values})
        return values

    chosen: list[Tenant] = []
    operator_of = database.operator

    def operator(*, read_only: bool = False) -> Any:
        transaction = operator_of(read_only=read_only)
        return transaction if read_only else _Between(transaction, chosen, database)

    monkeypatch.setattr(SealedValues, "page", read_then_lose)
    monkeypatch.setattr(database, "operator", operator)
    done = await rotate(database, BOTH, page=3)
    monkeypatch.undo()
    assert (done.rewrapped, done.overtaken) == (1, TENANTS), "the server's own secret, which nobody else stores"
    assert [await key_of(database, each, BEFORE) for each in tenants] == ["stored meanwhile"] * TENANTS
    assert (await rotate(database, BOTH)).rewrapped == TENANTS
    assert [await key_of(database, each, AFTER) for each in tenants] == ["stored meanwhile"] * TENANTS


async def test_whoever_changes_something_else_meanwhile_does_not_bring_the_old_key_back(
    database: Database, tenants: list[Tenant]
) -> None:
    async with database.unit(tenants[3].id) as unit:
        stored = await unit.config.get_for_update()
        assert stored is not None
        # Not part of this unit of work: as another process would do it.
        rotating = asyncio.create_task(rotate(database, BOTH), context=Context())
        await asyncio.wait({rotating}, timeout=PATIENCE)
        await unit.config.put(stored)
    assert (await rotating).rewrapped == TENANTS + 1
    assert (await standing(database, BOTH)).older == 0


class _Between:
    """Stores other keys before the transaction that would replace what was read."""

    def __init__(self, transaction: Any, chosen: list[Tenant], database: Database) -> None:
        self._transaction, self._chosen, self._database = transaction, chosen, database

    async def __aenter__(self) -> Any:
        while self._chosen:
            await store(self._database, self._chosen.pop(), BEFORE, "stored meanwhile")
        return await self._transaction.__aenter__()

    async def __aexit__(self, *exc: Any) -> None:
        await self._transaction.__aexit__(*exc)


async def test_what_cannot_be_opened_is_named_and_left_alone(database: Database, tenants: list[Tenant]) -> None:
    lost, altered, nonsense, *good = tenants
    foreign = Keyring({"foreign": OLD})
    await store(database, lost, foreign, "lost")
    await store(database, altered, Keyring({"old": NEW}), "altered")
    await damage(database, nonsense, b"\x07nonsense")
    done = await rotate(database, BOTH, page=2)
    assert not done.is_complete
    assert sorted(done.unopened, key=lambda each: each.row) == sorted(
        [
            _unopened(lost.id, "its master key is not in the list"),
            _unopened(altered.id, ALTERED),
            _unopened(nonsense.id, ALTERED),
        ],
        key=lambda each: each.row,
    )
    assert done.rewrapped == len(good) + 1
    assert await key_of(database, lost, foreign) == "lost"
    found = await standing(database, BOTH)
    assert (found.older, found.unknown) == (1, 2), "the altered one says that it needs the old key"


async def test_a_key_that_has_another_value_now_is_not_taken_for_the_one_that_sealed(
    database: Database, tenants: list[Tenant]
) -> None:
    done = await rotate(database, Keyring({"old": NEW}))
    assert (done.rewrapped, done.current, done.is_complete) == (0, 0, False)
    assert {each.reason for each in done.unopened} == {ALTERED}
    assert len(done.unopened) == TENANTS + 1


async def test_many_may_rotate_at_once(database: Database, tenants: list[Tenant]) -> None:
    done = await asyncio.gather(*(rotate(database, BOTH, page=2) for _ in range(4)))
    assert sum(each.rewrapped for each in done) == TENANTS + 1
    assert [await key_of(database, each, AFTER) for each in tenants] == [f"secret-{n}" for n in range(TENANTS)]


async def test_secrets_of_deleted_tenants_are_moved_like_others(database: Database, tenants: list[Tenant]) -> None:
    """They are there until their erasure, and must not keep an old key alive."""
    async with database.operator() as operator:
        await operator.tenants.delete(tenants[0].id)
    assert (await rotate(database, BOTH)).rewrapped == TENANTS + 1


def test_nothing_that_is_shown_holds_a_secret() -> None:
    value = SealedValue("key", b"sealed bytes")
    assert "sealed bytes" not in f"{value!r} {value}"


def _unopened(tenant_id: UUID, reason: str) -> Unopened:
    return Unopened(table="tenant_configs", row=str(tenant_id), reason=reason)
