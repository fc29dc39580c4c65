"""What happens when PostgreSQL throws connections out, hangs, or holds a lock."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from retinue.db.dialects import postgresql as dialect
from retinue.db.session import Database
from retinue.domain.errors import Unavailable
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import a_tenant
from tests.support.databases import Postgres
from tests.support.roles import open_database, upgrade


class Place(msgspec.Struct, frozen=True):
    server: Postgres
    name: str
    database: Database

    async def fill_the_pool(self) -> list[Any]:
        """Open every connection of the pool; returns the driver's connections."""
        opened: list[Any] = []
        sa.event.listen(
            self.database._engine.sync_engine,
            "connect",
            lambda connection, _: opened.append(connection.driver_connection),
        )
        await asyncio.gather(*(self.database.ping() for _ in range(6)))
        return opened

    def throw_everybody_out(self) -> None:
        others = f"datname = '{self.name}' AND pid <> pg_backend_pid()"
        self.server.execute(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {others}")


async def have_noticed(connections: list[Any]) -> None:
    """Wait until the driver knows that they are closed."""
    async with asyncio.timeout(10):
        while not all(connection.is_closed() for connection in connections):  # noqa: ASYNC110
            await asyncio.sleep(0)  # lets the loop read from the sockets


@pytest.fixture
async def place(postgres: Postgres, migrated_template: str) -> AsyncIterator[Place]:
    name = postgres.create(template=migrated_template)
    database = open_database(postgres.url(name), pool_size=3, command_timeout=1.0)
    try:
        yield Place(postgres, name, database)
    finally:
        await database.aclose()
        postgres.drop(name)


async def test_a_connection_closed_while_idle_is_replaced(place: Place) -> None:
    connections = await place.fill_the_pool()
    place.throw_everybody_out()
    await have_noticed(connections)
    await asyncio.gather(*(place.database.ping() for _ in range(6)))


async def test_who_is_cancelled_while_one_is_replaced_keeps_no_place(place: Place) -> None:
    connections = await place.fill_the_pool()
    place.throw_everybody_out()
    await have_noticed(connections)
    asking = [asyncio.create_task(place.database.ping()) for _ in connections]
    await asyncio.sleep(0)  # each has got a closed connection, and waits until it is put aside
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    used, _ = place.database.connections()
    assert used == 0, "what was raised still refers to the connections, so that they are not collected"


async def test_a_connection_that_was_idle_for_long_is_asked_first(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    connections = await place.fill_the_pool()
    place.throw_everybody_out()
    assert not any(connection.is_closed() for connection in connections), "nobody has told yet"
    monkeypatch.setattr(dialect, "_TRUSTED_IDLE_SECONDS", 0.0)
    await asyncio.gather(*(place.database.ping() for _ in range(6)))


async def test_a_connection_lost_in_a_unit_is_unavailable_and_the_next_unit_works(place: Place) -> None:
    async def lose() -> None:
        async with place.database.operator() as unit:
            await unit.tenants.add(a_tenant())
            place.throw_everybody_out()
            await unit.tenants.list(limit=1)

    with pytest.raises(Unavailable):
        await lose()
    async with place.database.operator(read_only=True) as unit:
        assert await unit.tenants.list(limit=1) == []


async def test_a_connection_lost_before_the_commit_is_unavailable(place: Place) -> None:
    async def lose() -> None:
        async with place.database.operator() as unit:
            await unit.tenants.add(a_tenant())
            place.throw_everybody_out()

    with pytest.raises(Unavailable):
        await lose()
    await place.database.ping()


async def test_a_lock_that_is_held_too_long_is_unavailable(place: Place) -> None:
    tenant = a_tenant()
    async with place.database.operator() as unit:
        await unit.tenants.add(tenant)
    is_held, is_tried = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        async with place.database.operator() as unit:
            await unit.tenants.update(tenant)
            is_held.set()
            await is_tried.wait()

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(hold())
        await is_held.wait()
        with pytest.raises(Unavailable):
            await rename(place.database, tenant)
        is_tried.set()
    await rename(place.database, tenant)


async def test_a_database_that_is_not_there_is_unavailable(postgres: Postgres) -> None:
    database = open_database(postgres.url("no_such_database"))
    with pytest.raises(Unavailable):
        await database.ping()
    with pytest.raises(Unavailable):
        await upgrade(postgres.url("no_such_database"))
    await database.aclose()


async def rename(database: Database, tenant: Tenant) -> None:
    async with database.operator() as unit:
        await unit.tenants.update(msgspec.structs.replace(tenant, name="renamed"))
