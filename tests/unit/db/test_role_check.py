"""A server does not start on roles that would not keep tenants apart."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from retinue.db.row_security import RolesUnusable
from retinue.db.row_security.checking import check, findings
from retinue.domain.errors import Unavailable
from tests.migrations.schema import look
from tests.support.databases import Postgres
from tests.support.roles import APP, JOBS, OWNER, jobs_url, owner_url, superuser_url, url_as


@pytest.fixture
def url(postgres: Postgres, migrated_template: str) -> Iterator[str]:
    with postgres.database(template=migrated_template) as url:
        yield url


@pytest.fixture
def granting(postgres: Postgres) -> Iterator["Granting"]:
    """Roles of the whole server, put back at the end."""
    granted = Granting(postgres)
    yield granted
    for statement in reversed(granted.undo):
        postgres.execute(statement)


class Granting:
    def __init__(self, postgres: Postgres) -> None:
        self._postgres = postgres
        self.undo: list[str] = []

    def do(self, statement: str, undo: str) -> None:
        self._postgres.execute(statement)
        self.undo.append(undo)


async def test_roles_as_they_should_be(url: str) -> None:
    assert await findings(url, jobs_url(url)) == []
    await check(url, jobs_url(url))


async def test_an_empty_database_is_for_others_to_complain_about(postgres: Postgres) -> None:
    with postgres.database() as url:
        assert await findings(url, jobs_url(url)) == []


@pytest.mark.parametrize("attribute", ["SUPERUSER", "BYPASSRLS", "CREATEROLE"])
@pytest.mark.parametrize("role", [APP, JOBS])
async def test_mighty_roles(url: str, granting: Granting, role: str, attribute: str) -> None:
    granting.do(f"ALTER ROLE {role} {attribute}", f"ALTER ROLE {role} NO{attribute}")
    reasons = {
        "SUPERUSER": f"{role} is a superuser",
        "BYPASSRLS": f"{role} has BYPASSRLS",
        "CREATEROLE": f"{role} may create roles, and so become any",
    }
    assert reasons[attribute] in await findings(url, jobs_url(url))
    with pytest.raises(RolesUnusable, match=reasons[attribute]):
        await check(url, jobs_url(url))


@pytest.mark.parametrize(
    ("member", "group", "reason"),
    [
        (APP, OWNER, f"{APP} is a member of {OWNER}, who owns tables"),
        (JOBS, OWNER, f"{JOBS} is a member of {OWNER}, who owns tables"),
        (APP, "postgres", f"{APP} is a member of postgres, who sees all rows"),
        (APP, JOBS, f"{APP} is a member of {JOBS}, who sees all tenants"),
    ],
)
async def test_members_of_mighty_roles(url: str, granting: Granting, member: str, group: str, reason: str) -> None:
    granting.do(f"CREATE ROLE middle IN ROLE {group}", "DROP ROLE middle")
    for between in ("middle", group):
        granting.do(f"GRANT {between} TO {member}", f"REVOKE {between} FROM {member}")
        assert await findings(url, jobs_url(url)) == [reason]


async def test_the_owner_as_one_of_them(url: str) -> None:
    assert f"{OWNER} owns tables" in await findings(owner_url(url), jobs_url(url))
    assert f"{OWNER} owns tables" in await findings(url, owner_url(url))


async def test_the_owner_of_one_table_is_enough(url: str, postgres: Postgres) -> None:
    postgres.execute(f"CREATE TABLE public.own (); ALTER TABLE own OWNER TO {APP}", urlsplit(url).path.strip("/"))
    assert await findings(url, jobs_url(url)) == [f"{APP} owns tables"]


async def test_one_role_for_both(url: str) -> None:
    assert f"{APP} is the user of both URLs" in await findings(url, url)


async def test_a_superuser_is_told_once(url: str) -> None:
    reasons = await findings(superuser_url(url), jobs_url(url))
    assert reasons[0] == "postgres is a superuser"
    assert not any("member" in reason for reason in reasons[:-1] if JOBS not in reason)


async def test_a_session_that_acts_as_another(url: str, granting: Granting) -> None:
    granting.do(f"CREATE ROLE other LOGIN IN ROLE {APP}", "DROP ROLE other")
    granting.do(f"ALTER ROLE other SET role = {APP}", "ALTER ROLE other RESET role")
    assert "other acts as another role" in await findings(url_as("other", url), jobs_url(url))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        ("ALTER TABLE runs DISABLE ROW LEVEL SECURITY", "row level security is not enabled on runs"),
        ("ALTER TABLE tenants NO FORCE ROW LEVEL SECURITY", "row level security is not forced on tenants"),
        ("CREATE TABLE later (tenant_id uuid)", "row level security is not enabled on later"),
        ("DROP POLICY retinue_app ON runs", f"the policies for {APP} on runs are none, not retinue_app alone"),
        (
            "ALTER POLICY retinue_jobs ON runs TO PUBLIC",
            f"the policies for {APP} on runs are retinue_app, retinue_jobs, not retinue_app alone",
        ),
        (
            "CREATE POLICY all_of_it ON runs USING (true)",
            f"the policies for {APP} on runs are all_of_it, retinue_app, not retinue_app alone",
        ),
    ],
)
async def test_tables_without_security(url: str, harm: str, reason: str) -> None:
    await look(url, lambda connection: connection.exec_driver_sql(harm))
    assert reason in await findings(url, jobs_url(url))


async def test_two_databases(url: str, postgres: Postgres) -> None:
    with postgres.database() as other:
        assert await findings(url, jobs_url(other)) == ["the two URLs lead to different databases"]


@pytest.mark.parametrize("which", ["URL", "JOBS_URL"])
async def test_somebody_who_is_not_let_in(url: str, which: str) -> None:
    stranger = url_as("stranger", url)
    urls = (stranger, jobs_url(url)) if which == "URL" else (url, stranger)
    with pytest.raises(RolesUnusable, match=rf"does not let the user of RETINUE_DATABASE_{which} in"):
        await findings(*urls)


async def test_a_database_that_does_not_answer(url: str) -> None:
    nowhere = "postgresql+asyncpg://u@/d?host=/nowhere"
    with pytest.raises(Unavailable):
        await findings(nowhere, nowhere)
