"""What a deleted tenant has left goes, whatever comes in between."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from retinue.coordination.memory import MemoryCoordination
from retinue.db.repositories.audit import NOBODY
from retinue.db.repositories.erasure import ERASED
from retinue.db.session import Database
from retinue.domain.audit import AuditEntry
from retinue.domain.errors import Unavailable
from retinue.domain.ids import new_id
from retinue.domain.signals import Signal, SignalKind
from retinue.domain.tenants import Tenant
from retinue.jobs import erasure as module
from retinue.jobs.erasure import Eraser
from tests.contract.repositories.builders import a_tenant, an_employee
from tests.contract.repositories.conftest import conversation, database, employee, neighbour, tenant
from tests.contract.repositories.test_erasure import deleted, left
from tests.contract.repositories.test_isolation import theirs
from tests.unit.runs.doubles import until

__all__ = ["conversation", "database", "deleted", "employee", "neighbour", "tenant", "theirs"]


class Coordination(MemoryCoordination):
    """Remembers whom it was told to forget."""

    def __init__(self) -> None:
        super().__init__()
        self.forgotten: list[UUID] = []
        self.is_away = False

    async def forget(self, tenant_id: UUID) -> None:
        if self.is_away:
            raise Unavailable
        self.forgotten.append(tenant_id)


Make = Callable[..., Eraser]


@pytest.fixture
def coordination() -> Coordination:
    return Coordination()


@pytest.fixture
def noticed() -> list[UUID]:
    return []


@pytest.fixture
def make(database: Database, coordination: Coordination, noticed: list[UUID], tmp_path: Path) -> Make:
    def make(worker: str = "me", *, settle_seconds: float = 0, disk: str = "disk") -> Eraser:
        return Eraser(
            database=database,
            coordination=coordination,
            workspaces=tmp_path / disk,
            worker=worker,
            on_deleted=noticed.append,
            settle_seconds=settle_seconds,
        )

    return make


async def told(database: Database) -> list[AuditEntry]:
    async with database.unit(NOBODY, read_only=True) as unit:
        return [entry for entry in await unit.audit.list(limit=9) if entry.action == "tenant.erased"]


async def pending(database: Database) -> list[UUID]:
    async with database.operator(read_only=True) as operator:
        return list(await operator.erasures.list(9))


def workspace(tmp_path: Path, tenant_id: UUID, disk: str = "disk") -> Path:
    home = tmp_path / disk / str(tenant_id)
    home.mkdir(parents=True)
    (home / "notes").write_text("x")
    return home


async def test_rows_streams_and_files_go_and_the_trail_says_so(
    database: Database, deleted: UUID, make: Make, coordination: Coordination, tmp_path: Path
) -> None:
    home, other = workspace(tmp_path, deleted), workspace(tmp_path, new_id())
    before = await left(database, deleted)
    await make().look()
    assert await left(database, deleted) == {}
    assert (home.exists(), other.exists()) == (False, True)
    assert coordination.forgotten == [deleted]
    assert await pending(database) == []
    (entry,) = await told(database)
    assert (entry.object_id, entry.actor) == (str(deleted), "system")
    assert entry.payload == {"removed": before, "is_scrubbed": database.is_sqlite}


async def test_whoever_lives_keeps_everything(database: Database, deleted: UUID, neighbour: Tenant, make: Make) -> None:
    async with database.unit(neighbour.id) as unit:
        await unit.employees.add(an_employee(neighbour))
    await make().look()
    assert await left(database, neighbour.id) == {"employees": 1}


async def test_it_ends_only_when_nobody_can_write_any_more(
    database: Database, tenant: Tenant, deleted: UUID, make: Make
) -> None:
    """What was begun before the deletion may still be committed after the first round."""
    waiting = make(settle_seconds=3600)
    await waiting.look()
    assert await left(database, deleted) == {}
    assert await pending(database) == [deleted]
    async with database.unit(deleted) as unit:
        await unit.shop.keep_action("late", {})
    await waiting.look()
    assert await left(database, deleted) == {}
    assert await told(database) == []
    await make().look()
    assert await pending(database) == []


async def test_what_was_broken_off_goes_on(
    database: Database, deleted: UUID, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after `kill -9`: somewhere in the middle, and then another process, once the lease has run out."""
    monkeypatch.setattr(module, "ROWS", 1)
    monkeypatch.setattr(module, "LEASE_SECONDS", -1.0)
    before, first = await left(database, deleted), make("first")
    remove, tables = Eraser._remove_rows, ERASED[len(ERASED) // 2]

    async def die(self: Eraser, tenant_id: UUID, table: str) -> None:
        if table == tables:
            raise asyncio.CancelledError
        await remove(self, tenant_id, table)

    monkeypatch.setattr(Eraser, "_remove_rows", die)
    with pytest.raises(asyncio.CancelledError):
        await first.look()
    monkeypatch.setattr(Eraser, "_remove_rows", remove)
    assert {} != await left(database, deleted) != before
    await make("second").look()
    (entry,) = await told(database)
    assert entry.payload["removed"] == before, "what the first one removed counts, too"


async def test_each_deleted_tenant_is_told_of_once(deleted: UUID, make: Make, noticed: list[UUID]) -> None:
    eraser = make(settle_seconds=3600)
    await eraser.look()
    await eraser.look()
    assert noticed == [deleted]


async def test_one_process_at_a_time(
    database: Database, deleted: UUID, make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = workspace(tmp_path, deleted, "here"), workspace(tmp_path, deleted, "there")
    await make("one", settle_seconds=3600, disk="here").look()
    removed: list[str] = []
    monkeypatch.setattr(Eraser, "_remove_rows", lambda *args: removed.append(args[-1]))
    await make("two", disk="there").look()
    assert removed == []
    assert await pending(database) == [deleted]
    assert (here.exists(), there.exists()) == (False, False), "but each on its own disk"


async def test_a_lost_lease_stops_it(
    database: Database, deleted: UUID, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove = Eraser._remove_rows

    async def lose(self: Eraser, tenant_id: UUID, table: str) -> None:
        if table == ERASED[3]:
            async with database.operator() as operator:
                assert await operator.erasures.take(deleted, "me", -1)
                assert await operator.erasures.take(deleted, "other", 60)
        await remove(self, tenant_id, table)

    monkeypatch.setattr(Eraser, "_remove_rows", lose)
    before = await left(database, deleted)
    await make().look()
    after = await left(database, deleted)
    assert {table: after.get(table) for table in ERASED[3:]} == {table: before.get(table) for table in ERASED[3:]}
    assert await pending(database) == [deleted]


async def test_without_the_server_of_the_streams_it_waits(
    database: Database, deleted: UUID, make: Make, coordination: Coordination
) -> None:
    eraser, coordination.is_away = make(), True
    await eraser.look()
    assert (await left(database, deleted), await pending(database)) == ({}, [deleted])
    coordination.is_away = False
    await eraser.look()
    assert await pending(database) == []


async def test_one_that_cannot_be_erased_is_in_nobodys_way(
    database: Database, deleted: UUID, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    second = a_tenant(slug="second")
    async with database.operator() as operator:
        await operator.tenants.add(second)
        await operator.tenants.delete(second.id)

    def fail(_: Path, tenant_id: UUID) -> bool:
        if tenant_id == deleted:
            raise PermissionError
        return False

    monkeypatch.setattr(module, "remove_workspace", fail)
    await make().look()
    assert await pending(database) == [deleted]
    assert [entry.object_id for entry in await told(database)] == [str(second.id)]


async def test_a_disk_that_was_away_is_swept_later(
    database: Database, deleted: UUID, neighbour: Tenant, make: Make, tmp_path: Path
) -> None:
    """And nothing on it that may belong to another database."""
    async with database.operator() as operator:
        await operator.audit.record("tenant.deleted", object_type="tenant", object_id=str(deleted))
    await make().look()
    stale, living = workspace(tmp_path, deleted, "late"), workspace(tmp_path, neighbour.id, "late")
    unknown = workspace(tmp_path, new_id(), "late")
    await make("late", disk="late").look()
    assert (stale.exists(), living.exists(), unknown.exists()) == (False, True, True)


async def test_a_signal_wakes_it_and_trouble_does_not_end_it(
    database: Database,
    deleted: UUID,
    make: Make,
    coordination: Coordination,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "POLL_SECONDS", 3600.0)
    eraser, looks = make(), 0
    look = eraser.look

    async def fail_first() -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ZeroDivisionError
        await look()

    monkeypatch.setattr(eraser, "look", fail_first)
    job = asyncio.create_task(eraser.run())
    await until(lambda: looks == 1)
    coordination.signals.send(Signal(SignalKind.CONVERSATION, deleted, deleted))
    coordination.signals.send(Signal(SignalKind.TENANT, deleted, deleted))
    await until(lambda: looks == 2)
    coordination.signals.send(Signal(SignalKind.TENANT, deleted, deleted))
    await until(lambda: looks == 3)
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert await pending(database) == []


async def test_many_rows_are_many_short_transactions(
    database: Database, tenant: Tenant, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with database.unit(tenant.id) as unit:
        for number in range(25):
            await unit.employees.add(an_employee(tenant, slug=f"e{number}"))
    async with database.operator() as operator:
        await operator.tenants.delete(tenant.id)
    monkeypatch.setattr(module, "ROWS", 10)
    opened: list[UUID] = []
    unit_of = database.unit

    def counted(tenant_id: UUID, **options: Any) -> Any:
        opened.append(tenant_id)
        return unit_of(tenant_id, **options)

    monkeypatch.setattr(database, "unit", counted)
    await make().look()
    assert await pending(database) == []
    assert len(opened) == 1 + len(ERASED) + 2
