"""Two changes of one object at the same time: both are in it afterwards."""

import asyncio

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from retinue.domain.tenants import StoredConfig, Tenant
from tests.contract.repositories.builders import a_config


@pytest.fixture
def rounds() -> int:
    """One round may pass by luck; in twenty, both transactions read before either writes."""
    return 20


async def test_an_employee(database: Database, employee: Employee, rounds: int) -> None:
    async def change(field: str, value: str) -> None:
        async with database.unit(employee.tenant_id) as unit:
            current = await unit.employees.get_for_update(employee.id)
            await unit.employees.update(msgspec.structs.replace(current, **{field: value}))

    for number in range(rounds):
        await asyncio.gather(change("name", f"n{number}"), change("role", f"r{number}"))
        async with database.unit(employee.tenant_id, read_only=True) as unit:
            now = await unit.employees.get(employee.id)
        assert (now.name, now.role) == (f"n{number}", f"r{number}")


async def test_a_conversation(database: Database, conversation: Conversation, rounds: int) -> None:
    async def change(field: str, value: str) -> None:
        async with database.unit(conversation.tenant_id) as unit:
            current = await unit.conversations.get_for_update(conversation.id)
            await unit.conversations.update(msgspec.structs.replace(current, **{field: value}))

    for number in range(rounds):
        await asyncio.gather(change("title", f"t{number}"), change("external_id", f"x{number}"))
        async with database.unit(conversation.tenant_id, read_only=True) as unit:
            now = await unit.conversations.get(conversation.id)
        assert (now.title, now.external_id) == (f"t{number}", f"x{number}")


async def test_a_tenant(database: Database, tenant: Tenant, rounds: int) -> None:
    async def change(field: str, value: str) -> None:
        async with database.operator() as operator:
            current = await operator.tenants.get_for_update(tenant.id)
            await operator.tenants.update(msgspec.structs.replace(current, **{field: value}))

    for number in range(rounds):
        await asyncio.gather(change("name", f"n{number}"), change("slug", f"s{number}"))
        async with database.operator(read_only=True) as operator:
            now = await operator.tenants.get(tenant.id)
        assert (now.name, now.slug) == (f"n{number}", f"s{number}")


@pytest.mark.parametrize("exists", [True, False])
async def test_a_configuration(database: Database, tenant: Tenant, rounds: int, exists: bool) -> None:
    """One sets the key, the other the model and keeps whatever key it finds; also where both are the first."""

    async def rotate(key: bytes) -> None:
        async with database.unit(tenant.id) as unit:
            current = await unit.config.get_for_update() or a_config(tenant, sealed=None)
            await unit.config.put(StoredConfig(config=current.config, sealed_api_key=key))

    async def change(model: str) -> None:
        async with database.unit(tenant.id) as unit:
            current = await unit.config.get_for_update() or a_config(tenant, sealed=None)
            config = msgspec.structs.replace(current.config, llm_model=model)
            await unit.config.put(StoredConfig(config=config, sealed_api_key=current.sealed_api_key))

    if exists:
        await rotate(b"first")
    for number in range(rounds):
        await asyncio.gather(change(f"m{number}"), rotate(f"k{number}".encode()))
        async with database.unit(tenant.id, read_only=True) as unit:
            now = await unit.config.get()
        assert now is not None
        assert (now.config.llm_model, now.sealed_api_key) == (f"m{number}", f"k{number}".encode())


async def test_a_configuration_of_nobody(database: Database) -> None:
    async with database.unit(new_id()) as unit:
        with pytest.raises(NotFound):
            await unit.config.get_for_update()
