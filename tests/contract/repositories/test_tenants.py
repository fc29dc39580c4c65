"""Tenants and their configuration."""

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.errors import Conflict, NotFound
from retinue.domain.ids import new_id
from retinue.domain.tenants import SecretState, Tenant
from tests.contract.repositories.builders import LATER, a_config, a_tenant


async def test_a_tenant_comes_back_as_it_went_in(database: Database, tenant: Tenant) -> None:
    async with database.operator(read_only=True) as unit:
        assert await unit.tenants.get(tenant.id) == tenant
        assert await unit.tenants.find_by_slug("acme") == tenant
        assert await unit.tenants.find(new_id()) is None


async def test_a_slug_is_taken_once(database: Database, tenant: Tenant, neighbour: Tenant) -> None:
    with pytest.raises(Conflict) as adding:
        async with database.operator() as unit:
            await unit.tenants.add(a_tenant())
    with pytest.raises(Conflict) as renaming:
        async with database.operator() as unit:
            await unit.tenants.update(msgspec.structs.replace(neighbour, slug=tenant.slug))
    assert adding.value.problem_code == renaming.value.problem_code == "slug_taken"


async def test_updating_changes_name_and_slug(database: Database, tenant: Tenant) -> None:
    changed = msgspec.structs.replace(tenant, name="New", slug="new", updated_at=LATER)
    async with database.operator() as unit:
        await unit.tenants.update(changed)
        assert await unit.tenants.get(tenant.id) == changed


async def test_missing_tenants_are_not_found(database: Database) -> None:
    async with database.operator() as unit:
        for act in (unit.tenants.get(new_id()), unit.tenants.update(a_tenant()), unit.tenants.delete(new_id())):
            with pytest.raises(NotFound):
                await act


async def test_the_list_goes_on_after_a_cursor(database: Database) -> None:
    tenants = [a_tenant(slug=f"t{number}") for number in range(5)]
    async with database.operator() as unit:
        for tenant in tenants:
            await unit.tenants.add(tenant)
        first = await unit.tenants.list(limit=3)
        rest = await unit.tenants.list(limit=3, after=first[-1].id)
    assert [*first, *rest] == tenants


async def test_a_configuration_is_created_and_replaced(database: Database, tenant: Tenant) -> None:
    stored = a_config(tenant)
    async with database.unit(tenant.id) as unit:
        assert await unit.config.get() is None
        await unit.config.put(stored)
        found = await unit.config.get()
        assert found is not None
        assert (found.config, found.sealed_api_key) == (stored.config, stored.sealed_api_key)
        await unit.config.put(a_config(tenant, sealed=None, llm_model="gpt-5", created_at=LATER, updated_at=LATER))
        replaced = await unit.config.get()
    assert replaced is not None
    assert replaced.sealed_api_key is None
    assert replaced.config.llm_api_key == SecretState(set=False)
    assert (replaced.config.llm_model, replaced.config.updated_at) == ("gpt-5", LATER)
    assert replaced.config.created_at == stored.config.created_at


async def test_no_configuration_without_a_tenant(database: Database) -> None:
    nobody = a_tenant()
    with pytest.raises(NotFound):
        async with database.unit(nobody.id) as unit:
            await unit.config.put(a_config(nobody))
