"""Up, down and up again, on both databases; and the tables that the code knows are the tables that migrations make."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext

from retinue.db import migrations
from retinue.db.tables import Base
from retinue.domain.errors import InternalError, RetinueError, Unavailable
from tests.migrations.schema import conditions, described, look
from tests.support.roles import downgrade, upgrade

ROOT = Path(__file__).parents[2]


async def test_up_down_and_up_again(database_url: str) -> None:
    assert await migrations.current(database_url) is None
    assert not await migrations.is_current(database_url)
    await upgrade(database_url)
    assert await migrations.current(database_url) == migrations.head()
    first = await look(database_url, described)
    await downgrade(database_url, "base")
    assert await migrations.current(database_url) is None
    assert set(await look(database_url, described)) <= {"alembic_version"}
    await upgrade(database_url)
    await upgrade(database_url)
    assert await migrations.is_current(database_url)
    assert await look(database_url, described) == first


async def test_migrations_make_what_the_code_expects(database_url: str) -> None:
    await upgrade(database_url)
    assert await look(database_url, _drift) == []


async def test_drift_would_be_seen(database_url: str) -> None:
    await upgrade(database_url)
    await look(database_url, lambda connection: connection.execute(sa.text("DROP INDEX uq_runs_active")))
    await look(database_url, lambda connection: connection.execute(sa.text("ALTER TABLE runs DROP COLUMN text_sha256")))
    assert len(await look(database_url, _drift)) == 2


async def test_partial_indexes_have_their_condition(database_url: str) -> None:
    """What alembic does not compare. Without its condition an index would forbid the second run of a conversation."""
    await upgrade(database_url)
    found = await look(database_url, conditions)
    for name, words in {
        "uq_runs_active": {"running", "waiting"},
        "ix_runs_employee_active": {"running", "waiting"},
        "ix_runs_lease": {"running"},
        "ix_runs_queued": {"queued"},
        "ix_messages_pending": {"pending"},
        "ix_messages_user": {"user"},
        "ix_approvals_pending": {"pending"},
        "ix_approvals_expiry": {"pending"},
        "ix_ledger_unsummed": {"open"},
    }.items():
        assert set(re.findall(r"'(\w+)'", found[name])) == words, name
    assert {"finished_at", "pruned_at"} <= set(re.findall(r"\w+", found["ix_runs_prunable"]))
    assert "password_expires_at" in found["ix_approvals_password"]
    assert "is_summed" in found["ix_ledger_unsummed"]
    assert "deleted_at" in found["uq_employees_slug"]
    assert "external_id" in found["uq_conversations_external_id"]


async def test_foreign_keys_stay_inside_the_tenant(database_url: str) -> None:
    await upgrade(database_url)
    keys = await look(database_url, _foreign_keys)
    assert [key for key in keys if key["constrained_columns"][0] != "tenant_id"] == []
    to_tenants = {tuple(key["constrained_columns"]) for key in keys if key["referred_table"] == "tenants"}
    assert to_tenants == {("tenant_id",)}
    assert all(len(key["constrained_columns"]) == 2 for key in keys if key["referred_table"] != "tenants")


async def test_several_processes_may_migrate_at_once(database_url: str) -> None:
    await asyncio.gather(*(upgrade(database_url) for _ in range(4)))
    assert await migrations.is_current(database_url)


@pytest.mark.slow
async def test_a_new_sqlite_file_takes_many_first_visitors(tmp_path: Path) -> None:
    """Each wants to switch the file to write-ahead logging; they must not wait for each other."""
    async with asyncio.timeout(60):
        for number in range(8):
            url = f"sqlite+aiosqlite:///{tmp_path / f'{number}.db'}"
            await asyncio.gather(*(upgrade(url) for _ in range(6)))


async def test_a_failing_migration_leaves_nothing(database_url: str) -> None:
    """Schema changes are transactional on both databases."""
    await look(database_url, lambda connection: connection.execute(sa.text("CREATE TABLE ledger (x INTEGER)")))
    with pytest.raises(RetinueError):
        await upgrade(database_url)
    assert set(await look(database_url, described)) == {"ledger"}


async def test_an_unreachable_database_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for url in (
        f"sqlite+aiosqlite:///{tmp_path / 'file' / 'is-no-folder.db'}",
        f"postgresql+asyncpg://postgres@/x?host={tmp_path}",
    ):
        with pytest.raises(Unavailable):
            await migrations.current(url)


async def test_migrating_makes_the_folder_of_a_sqlite_file(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path / 'new' / 'folder' / 'retinue.db'}"
    await upgrade(url)
    assert await migrations.is_current(url)


def test_an_installed_package_finds_the_scripts_in_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations, "__file__", str(tmp_path / "lib/site-packages/retinue/db/migrations.py"))
    monkeypatch.chdir(ROOT)
    assert migrations.head() == "0008"
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InternalError):
        migrations.head()


def _drift(connection: sa.Connection) -> list[Any]:
    options = {"compare_type": True, "compare_server_default": True}
    return compare_metadata(MigrationContext.configure(connection, opts=options), Base.metadata)  # type: ignore[no-any-return]


def _foreign_keys(connection: sa.Connection) -> list[Any]:
    inspector = sa.inspect(connection)
    return [key for table in inspector.get_table_names() for key in inspector.get_foreign_keys(table)]
