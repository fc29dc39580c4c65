"""Bringing policies and privileges to what they should be.

This is done after every migration rather than in one: what it takes depends on which roles the settings name and on
which tables there are, and both may change. Where nothing has changed, nothing is locked.
"""

from collections.abc import Iterator, Mapping

import sqlalchemy as sa

from retinue.db.row_security import catalogue
from retinue.db.row_security.catalogue import Policy, Table
from retinue.db.row_security.privileges import Privilege, of_application, of_jobs
from retinue.db.row_security.roles import Roles, quoted

PREFIX = "retinue_"
OWNER, APPLICATION, JOBS = "retinue_owner", "retinue_app", "retinue_jobs"

_MIGRATES = "(current_setting('retinue.migrates'::text, true) = 'on'::text)"
"""The owner sees rows where it says that it migrates, which nobody does by accident."""
_IS_TENANTS = "({column} = (NULLIF(current_setting('retinue.tenant_id'::text, true), ''::text))::uuid)"
"""No row where no tenant was set. Once a transaction has set it, the setting is there for the session, but empty."""
_EVERYTHING = "true"
_WAYS = sa.text("""
SELECT current_database(), current_schema(),
       has_database_privilege(:role, current_database(), 'CONNECT'),
       has_schema_privilege(:role, current_schema(), 'USAGE')
""")


def apply(connection: sa.Connection, roles: Roles | None) -> None:
    """Let exactly these roles serve; with None, nobody.

    All tables of tenants get row level security, forced, with one policy for each role. What earlier roles of Retinue
    were given is taken back; roles and policies that Retinue did not make are left alone.
    """
    for statement in list(_statements(connection, roles)):
        connection.exec_driver_sql(statement)


def _statements(connection: sa.Connection, roles: Roles | None) -> Iterator[str]:
    tables, policies = catalogue.tables(connection), catalogue.policies(connection)
    owner = connection.scalar(sa.text("SELECT current_user"))
    present = {(policy.table, policy.name): policy for policy in policies if policy.name.startswith(PREFIX)}
    wanted = {(p.table, p.name): p for table in tables for p in _policies_of(table, str(owner), roles)}
    for table in tables:
        if table.tenant_column is not None:
            yield from _switched_on(connection, table)
    for policy in present.values():
        if wanted.get((policy.table, policy.name)) != policy:
            yield f"DROP POLICY {_q(connection, policy.name)} ON {_q(connection, policy.table)}"
    for policy in wanted.values():
        if present.get((policy.table, policy.name)) != policy:
            yield _creation(connection, policy)
    serving = {} if roles is None else {roles.app.name: True, roles.jobs.name: False}
    earlier = {name for policy in present.values() for name in policy.roles if policy.name != OWNER}
    for name in sorted(earlier - set(serving) - {str(owner), catalogue.EVERYBODY}):
        yield from _privileges(connection, name, {table.name: frozenset() for table in tables})
    for name, is_application in serving.items():
        yield from _openings(connection, name)
        yield from _privileges(
            connection,
            name,
            {
                table.name: of_application(table.name, has_tenant=table.has_tenant)
                if is_application
                else of_jobs(table.name)
                for table in tables
            },
        )


def _policies_of(table: Table, owner: str, roles: Roles | None) -> Iterator[Policy]:
    if table.tenant_column is None:
        return
    yield _policy(table, OWNER, owner, _MIGRATES)
    if roles is not None:
        yield _policy(table, APPLICATION, roles.app.name, _IS_TENANTS.format(column=table.tenant_column))
        yield _policy(table, JOBS, roles.jobs.name, _EVERYTHING)


def _policy(table: Table, name: str, role: str, condition: str) -> Policy:
    return Policy(table=table.name, name=name, roles=(role,), sees=condition, writes=condition)


def _switched_on(connection: sa.Connection, table: Table) -> Iterator[str]:
    if not table.is_enabled:
        yield f"ALTER TABLE {_q(connection, table.name)} ENABLE ROW LEVEL SECURITY"
    if not table.is_forced:
        yield f"ALTER TABLE {_q(connection, table.name)} FORCE ROW LEVEL SECURITY"


def _creation(connection: sa.Connection, policy: Policy) -> str:
    (role,) = policy.roles
    return (
        f"CREATE POLICY {_q(connection, policy.name)} ON {_q(connection, policy.table)} TO {_q(connection, role)} "
        f"USING ({policy.sees}) WITH CHECK ({policy.writes})"
    )


def _privileges(connection: sa.Connection, role: str, wanted: Mapping[str, frozenset[Privilege]]) -> Iterator[str]:
    given = catalogue.privileges(connection, _q(connection, role))
    for table, privileges in wanted.items():
        if given.get(table, frozenset()) == privileges:
            continue
        yield f"REVOKE ALL ON {_q(connection, table)} FROM {_q(connection, role)}"
        if privileges:
            words = sorted(verb + (f" ({_q(connection, column)})" if column else "") for verb, column in privileges)
            yield f"GRANT {', '.join(words)} ON {_q(connection, table)} TO {_q(connection, role)}"


def _openings(connection: sa.Connection, role: str) -> Iterator[str]:
    """The way to the tables, which everybody has unless an administrator closed it."""
    database, schema, connects, uses = connection.execute(_WAYS, {"role": role}).one()
    if not connects:
        yield f"GRANT CONNECT ON DATABASE {_q(connection, database)} TO {_q(connection, role)}"
    if not uses:
        yield f"GRANT USAGE ON SCHEMA {_q(connection, schema)} TO {_q(connection, role)}"


def _q(connection: sa.Connection, name: str) -> str:
    return quoted(name, connection.dialect)
