"""What was deleted leaves no bytes in SQLite's files."""

import shutil
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from retinue.db.dialects import sqlite as module
from retinue.db.session import Database
from retinue.domain.errors import Unavailable
from tests.contract.repositories.builders import a_tenant
from tests.support.roles import open_database

CANARY = "canary-of-a-row-that-was-deleted"


@pytest.fixture
def file(migrated_file: Path, tmp_path: Path) -> Path:
    shutil.copy(migrated_file, tmp_path / "retinue.db")
    return tmp_path / "retinue.db"


@pytest.fixture
async def database(file: Path) -> AsyncIterator[Database]:
    database = Database.connect(f"sqlite+aiosqlite:///{file}", command_timeout=0.2)
    yield database
    await database.aclose()


@contextmanager
def past_retinue(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        yield connection


def holds_canary(file: Path) -> bool:
    return any(CANARY.encode() in path.read_bytes() for path in file.parent.glob(f"{file.name}*"))


def leave_traces(file: Path) -> None:
    """As versions did that deleted without overwriting."""
    with past_retinue(file) as connection:
        connection.execute("PRAGMA secure_delete = OFF")
        connection.execute("CREATE TABLE old (text TEXT)")
        connection.executemany("INSERT INTO old VALUES (?)", [(CANARY * 50,)] * 100)
        connection.execute("DELETE FROM old")
        connection.execute("DROP TABLE old")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def test_what_is_deleted_is_overwritten_at_once(file: Path, database: Database) -> None:
    tenants = [a_tenant(slug=f"t{number}", name=CANARY * 20) for number in range(50)]
    async with database.operator() as operator:
        for tenant in tenants:
            await operator.tenants.add(tenant)
    assert holds_canary(file)
    for tenant in tenants:
        async with database.operator() as operator:
            await operator.tenants.delete(tenant.id)
    with past_retinue(file) as connection:
        assert connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0
    assert not holds_canary(file)


async def test_scrubbing_removes_what_was_not_overwritten(file: Path, database: Database) -> None:
    leave_traces(file)
    assert holds_canary(file)
    assert await database.scrub() is True
    assert not holds_canary(file)
    assert Path(f"{file}-wal").stat().st_size == 0
    async with database.operator() as operator:
        await operator.tenants.add(a_tenant())


async def test_a_large_file_is_left_to_its_owner(
    file: Path, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    leave_traces(file)
    monkeypatch.setattr(module, "SCRUB_BYTES", 0)
    assert await database.scrub() is False
    assert holds_canary(file)


async def test_while_somebody_reads_it_is_put_off(file: Path, database: Database) -> None:
    async with database.operator() as operator:
        await operator.tenants.add(a_tenant(name=CANARY))
    with past_retinue(file) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM tenants").fetchall()
        with pytest.raises(Unavailable):
            await database.scrub()
        reader.execute("COMMIT")
    assert await database.scrub() is True


@pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)
async def test_postgresql_does_it_by_itself(migrated_url: str) -> None:
    database = open_database(migrated_url)
    assert await database.scrub() is False
    await database.aclose()
