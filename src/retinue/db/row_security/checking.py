"""Whether the roles that serve are such that PostgreSQL keeps tenants apart."""

from collections.abc import Iterator
from typing import Any

import msgspec
import sqlalchemy as sa

from retinue.db.dialects.registry import dialect_for
from retinue.db.errors import translated
from retinue.db.row_security import catalogue
from retinue.db.row_security.applying import APPLICATION, JOBS, OWNER
from retinue.db.row_security.roles import RolesUnusable

COMMAND_SECONDS = 10.0
_REFUSED = "28"
"""The class of errors about users and passwords."""

_ROLE = sa.text("""
SELECT session_user AS name, current_user = session_user AS is_itself, rolsuper AS is_superuser,
       rolbypassrls AS bypasses, rolcreaterole AS creates_roles,
       pg_postmaster_start_time()::text || '/' || d.oid AS place,
       ARRAY(SELECT o.rolname::text FROM pg_roles o
             WHERE o.rolname <> session_user AND pg_has_role(session_user, o.oid, 'MEMBER')) AS member_of
FROM pg_roles r, pg_database d WHERE r.rolname = session_user AND d.datname = current_database()
""")
_OWNERS = sa.text("""
SELECT DISTINCT r.rolname::text FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
""")
_MIGHTY = sa.text("SELECT rolname::text FROM pg_roles WHERE rolsuper OR rolbypassrls")


class _Role(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    is_itself: bool
    is_superuser: bool
    bypasses: bool
    creates_roles: bool
    place: str
    member_of: frozenset[str]


class _Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    owners: frozenset[str]
    mighty: frozenset[str]
    tables: tuple[catalogue.Table, ...]
    policies: tuple[catalogue.Policy, ...]


async def findings(url: str, jobs_url: str) -> list[str]:
    """Every reason why these two must not serve; empty if they may. Looks at the catalogue only, which anybody may.

    Raises:
        RolesUnusable: PostgreSQL does not let one of them in.
        Unavailable: it does not answer.
    """
    app, around = await _look(url, "RETINUE_DATABASE_URL")
    jobs, _ = await _look(jobs_url, "RETINUE_DATABASE_JOBS_URL")
    return [
        *_of_role(app, around),
        *_of_role(jobs, around),
        *_of_both(app, jobs),
        *_of_tables(app, around),
    ]


async def check(url: str, jobs_url: str) -> None:
    """Raises: RolesUnusable, with every reason; Unavailable."""
    if found := await findings(url, jobs_url):
        raise RolesUnusable("Tenants would not be kept apart: " + "; ".join(found) + ".")


async def _look(url: str, setting: str) -> tuple[_Role, _Surroundings]:
    parsed = sa.make_url(url)
    dialect = dialect_for(parsed)
    engine = dialect.create_engine(parsed, pool_size=1, command_timeout=COMMAND_SECONDS)
    try:
        with translated(dialect):
            try:
                async with engine.connect() as connection:
                    return await connection.run_sync(_seen)
            except sa.exc.DBAPIError as error:
                if str(getattr(error.driver_exception, "sqlstate", "")).startswith(_REFUSED):
                    reason = (
                        f"PostgreSQL does not let the user of {setting} in. `retinue migrate` creates missing users."
                    )
                    raise RolesUnusable(reason) from None
                raise
    finally:
        await engine.dispose()


def _seen(connection: sa.Connection) -> tuple[_Role, _Surroundings]:
    row: Any = connection.execute(_ROLE).mappings().one()
    role = msgspec.convert(dict(row), _Role)
    around = _Surroundings(
        owners=frozenset(connection.scalars(_OWNERS)),
        mighty=frozenset(connection.scalars(_MIGHTY)),
        tables=tuple(table for table in catalogue.tables(connection) if table.tenant_column is not None),
        policies=tuple(catalogue.policies(connection)),
    )
    return role, around


def _of_role(role: _Role, around: _Surroundings) -> Iterator[str]:
    if not role.is_itself:
        yield f"{role.name} acts as another role"
    if role.is_superuser:
        yield f"{role.name} is a superuser"
    if role.bypasses:
        yield f"{role.name} has BYPASSRLS"
    if role.creates_roles:
        yield f"{role.name} may create roles, and so become any"
    if role.name in around.owners:
        yield f"{role.name} owns tables"
    if role.is_superuser:
        return
    for other in sorted(role.member_of & (around.owners | around.mighty)):
        yield f"{role.name} is a member of {other}, who {'owns tables' if other in around.owners else 'sees all rows'}"


def _of_both(app: _Role, jobs: _Role) -> Iterator[str]:
    if app.name == jobs.name:
        yield f"{app.name} is the user of both URLs"
    elif jobs.name in app.member_of:
        yield f"{app.name} is a member of {jobs.name}, who sees all tenants"
    if app.place != jobs.place:
        yield "the two URLs lead to different databases"


def _of_tables(app: _Role, around: _Surroundings) -> Iterator[str]:
    for table in around.tables:
        if not table.is_enabled or not table.is_forced:
            yield f"row level security is not {'forced' if table.is_enabled else 'enabled'} on {table.name}"
        applying = {
            policy.name
            for policy in around.policies
            if policy.table == table.name and policy.is_permissive and _applies(policy, app)
        }
        if applying != {APPLICATION}:
            names = ", ".join(sorted(applying)) or "none"
            yield f"the policies for {app.name} on {table.name} are {names}, not {APPLICATION} alone"


def _applies(policy: catalogue.Policy, role: _Role) -> bool:
    if {catalogue.EVERYBODY, role.name} & set(policy.roles):
        return True
    # A member of those for whom Retinue made a policy is told so already.
    return policy.name not in {OWNER, JOBS} and not role.member_of.isdisjoint(policy.roles)
