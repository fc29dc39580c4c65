"""Row level security, as PostgreSQL's catalogue has it after a migration."""

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import create_async_engine

from retinue.db import migrations
from retinue.db.row_security import Roles, RolesUnusable, create_missing
from retinue.domain.errors import Unavailable
from tests.migrations.catalogue import FOREIGN_KEYS, GRANTED, KEYS, OTHERS, POLICY_IDS, STATE, TABLES, rows
from tests.migrations.schema import look
from tests.support.databases import Postgres
from tests.support.roles import APP, JOBS, OWNER, downgrade, jobs_url, open_database, owner_url, upgrade, url_as
from tests.support.server import environment_for, migrate

POLICIES = [f"retinue_app: {APP}", f"retinue_jobs: {JOBS}", f"retinue_owner: {OWNER}"]
WITHOUT_TENANT = {"alembic_version", "server_secrets", "tenants"}
FOUND_BY_ID = {"uq_approvals_id", "uq_api_keys_id", "uq_conversations_id", "uq_employees_id", "uq_runs_id"}
"""Ids that lead to their tenant, which Retinue makes itself and at random."""
NEW_TABLE = "CREATE TABLE new_things (tenant_id uuid PRIMARY KEY REFERENCES tenants, thing text)"


@pytest.fixture
def url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    with postgres.database(template=migrated_template) as url:
        yield url


@pytest.fixture
def empty_url(postgres: Postgres) -> Iterator[str]:
    with postgres.database() as url:
        yield url


async def asked(url: str, query: str) -> list[tuple[object, ...]]:
    return await look(url, lambda connection: rows(connection, query))


async def test_every_table_of_tenants_is_secured(url: str) -> None:
    tables = await asked(url, TABLES)
    assert len(tables) > 20
    for name, is_enabled, is_forced, owner, has_tenant, policies in tables:
        assert owner == OWNER
        if has_tenant or name == "tenants":
            assert (name, is_enabled, is_forced, policies) == (name, True, True, POLICIES)
        else:
            assert policies == []
    assert {name for name, _, _, _, has_tenant, _ in tables if not has_tenant} == WITHOUT_TENANT


async def test_the_tenant_leads_every_key(url: str) -> None:
    strays = {
        index if not is_primary else f"primary key of {table}"
        for table, index, is_primary, columns in await asked(url, KEYS)
        if table not in WITHOUT_TENANT and columns[0] != "tenant_id"  # type: ignore[index]
    }
    assert strays == FOUND_BY_ID


async def test_every_reference_stays_inside_the_tenant(url: str) -> None:
    references = await asked(url, FOREIGN_KEYS)
    assert len(references) > 15
    for name, _, target, own, theirs in references:
        assert "tenant_id" in own, name  # type: ignore[operator]
        assert target == "tenants" or "tenant_id" in theirs, name  # type: ignore[operator]


async def test_there_is_no_way_around_the_tables(url: str) -> None:
    """Views and functions could be carried out with their owner's rights."""
    assert await asked(url, OTHERS) == []


async def test_migrating_again_changes_nothing(url: str) -> None:
    before = await asked(url, POLICY_IDS)
    await upgrade(url)
    assert await asked(url, POLICY_IDS) == before != []


async def test_a_table_that_comes_later_is_secured_too(url: str) -> None:
    await look(url, lambda connection: connection.exec_driver_sql(NEW_TABLE))
    assert ("new_things", False) in [row[:2] for row in await asked(url, TABLES)]
    await upgrade(url)
    await test_every_table_of_tenants_is_secured(url)


@pytest.mark.parametrize(
    "harm",
    [
        "ALTER TABLE runs NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE runs DISABLE ROW LEVEL SECURITY",
        "DROP POLICY retinue_app ON runs",
        "ALTER POLICY retinue_app ON runs USING (true)",
        "ALTER POLICY retinue_app ON runs WITH CHECK (true)",
        "ALTER POLICY retinue_app ON runs TO PUBLIC",
        f"GRANT UPDATE ON audit_entries TO {APP}",
        f"GRANT UPDATE (hash) ON audit_entries TO {APP}",
        f"REVOKE SELECT ON runs FROM {APP}",
        f"GRANT ALL ON messages TO {JOBS}",
    ],
)
async def test_what_was_changed_is_put_right(url: str, harm: str) -> None:
    before = await asked(url, STATE)
    await look(url, lambda connection: connection.exec_driver_sql(harm))
    assert await asked(url, STATE) != before
    await upgrade(url)
    assert await asked(url, STATE) == before


async def test_roles_with_other_names_take_the_place_of_the_old_ones(url: str, postgres: Postgres) -> None:
    app, jobs = url_as("other_app", url), url_as("other_jobs", url)
    await migrations.upgrade(owner_url(url), roles=Roles.of(app, jobs))
    assert {name for (name,) in await asked(url, GRANTED)} == {"other_app", "other_jobs"}
    assert not await migrations.is_current(url), "the old ones may not even ask"
    assert await migrations.is_current(app)
    await upgrade(url)
    assert {name for (name,) in await asked(url, GRANTED)} == {APP, JOBS}


async def test_without_roles_nobody_may_serve(url: str) -> None:
    await migrations.upgrade(owner_url(url))
    assert await asked(url, GRANTED) == []


async def test_policies_of_others_are_left_alone(url: str) -> None:
    await look(url, lambda c: c.exec_driver_sql("CREATE POLICY reports ON runs FOR SELECT TO pg_monitor USING (true)"))
    await upgrade(url)
    policies = await asked(url, "SELECT policyname FROM pg_policies WHERE tablename = 'runs' ORDER BY 1")
    assert [name for (name,) in policies] == ["reports", "retinue_app", "retinue_jobs", "retinue_owner"]


async def test_going_down_takes_it_off(url: str) -> None:
    await downgrade(url, "0005")
    tables = await asked(url, TABLES)
    assert {(enabled, forced, tuple(policies)) for _, enabled, forced, _, _, policies in tables} == {(False, False, ())}  # type: ignore[arg-type]
    assert await asked(url, GRANTED) == []
    await upgrade(url)
    await test_every_table_of_tenants_is_secured(url)


async def test_an_older_schema_is_left_open(empty_url: str) -> None:
    await upgrade(empty_url, "0003")
    assert await asked(empty_url, POLICY_IDS) == []


async def test_roles_are_created_with_nothing_but_a_login(empty_url: str, postgres: Postgres) -> None:
    app, jobs = (url_as(f"made_{name}:{name}-word", empty_url) for name in ("app", "jobs"))
    await migrations.upgrade(owner_url(empty_url), roles=Roles.of(app, jobs))
    look_at = "rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication, rolinherit, rolcanlogin"
    for name in ("made_app", "made_jobs"):
        assert postgres.execute(f"SELECT {look_at} FROM pg_authid WHERE rolname = '{name}'") == "f|f|f|f|f|f|t"
        stored = postgres.execute(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{name}'")
        assert stored.startswith("SCRAM-SHA-256$4096:")
    database = open_database(app)
    assert await migrations.is_current(app)
    await database.aclose()


async def test_a_role_that_exists_keeps_its_password(empty_url: str, postgres: Postgres) -> None:
    await migrations.upgrade(owner_url(empty_url), roles=Roles.of(url_as(f"{APP}:new", empty_url), jobs_url(empty_url)))
    assert postgres.execute(f"SELECT rolpassword FROM pg_authid WHERE rolname = '{APP}'") == ""


async def test_an_owner_who_may_not_create_roles_says_what_to_do(postgres: Postgres) -> None:
    postgres.execute("CREATE ROLE modest LOGIN")
    name = postgres.create()
    postgres.execute(f'ALTER DATABASE "{name}" OWNER TO modest')
    url = postgres.url(name)
    roles = Roles.of(url_as("awaited_app:word", url), url_as('awaited"jobs', url))
    with pytest.raises(RolesUnusable, match='CREATE ROLE "awaited_app" LOGIN NOSUPERUSER') as caught:
        await migrations.upgrade(url_as("modest", url), roles=roles)
    assert "word" not in str(caught.value)
    assert await migrations.current(url_as("modest", url)) is None
    postgres.execute('CREATE ROLE awaited_app LOGIN; CREATE ROLE "awaited""jobs" LOGIN')
    await migrations.upgrade(url_as("modest", url), roles=roles)
    assert await migrations.is_current(url_as("awaited_app", url))
    postgres.drop(name)


async def test_databases_of_one_server_may_be_migrated_at_once(postgres: Postgres, tmp_path: Path) -> None:
    """Roles are common to all of them."""
    names = [postgres.create() for _ in range(2)]
    apps = [url_as("racing_app", postgres.url(name)) for name in names]
    variables = [
        {**environment_for(url), "RETINUE_DATABASE_JOBS_URL": url_as("racing_jobs", url)} for url in apps for _ in "ab"
    ]
    await asyncio.gather(*(asyncio.to_thread(migrate, tmp_path, each) for each in variables))
    assert [await migrations.is_current(app) for app in apps] == [True] * 2
    for name in names:
        postgres.drop(name)


async def test_roles_are_created_once_by_whoever_is_first(postgres: Postgres) -> None:
    url = postgres.url("postgres")
    for number in range(20):
        roles = Roles.of(url_as(f"first_{number}", url), url_as(f"second_{number}", url))
        engines = [create_async_engine(owner_url(url)) for _ in range(4)]
        await asyncio.gather(*(create_missing(engine, roles) for engine in engines))
        for engine in engines:
            await engine.dispose()


async def test_one_role_cannot_be_both(url: str) -> None:
    with pytest.raises(RolesUnusable, match="cannot be both"):
        Roles.of(url, url)


async def test_somebody_unknown_is_not_let_in(url: str) -> None:
    with suppress(Unavailable), pytest.raises(sa.exc.DBAPIError):
        await migrations.is_current(url_as("nobody_at_all", url))
