"""What PostgreSQL's catalogue says about Retinue's tables."""

from collections.abc import Sequence

import msgspec
import sqlalchemy as sa

from retinue.db.row_security.privileges import Privilege

TENANTS = "tenants"
EVERYBODY = "public"
"""Stands among a policy's roles for all there are."""

_TABLES = sa.text("""
SELECT c.oid, c.relname AS name, c.relrowsecurity AS is_enabled, c.relforcerowsecurity AS is_forced,
       EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped)
           AS has_tenant
FROM pg_class c
WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')
ORDER BY c.relname
""")
_POLICIES = sa.text("""
SELECT tablename AS "table", policyname AS name, roles::text[] AS roles, cmd,
       permissive = 'PERMISSIVE' AS is_permissive, qual AS sees, with_check AS writes
FROM pg_policies WHERE schemaname = current_schema()
""")
_PRIVILEGES = sa.text("""
SELECT c.relname AS name, granted.privilege_type AS verb, NULL AS on_column
FROM pg_class c, aclexplode(c.relacl) granted
WHERE c.relnamespace = current_schema()::regnamespace AND granted.grantee = CAST(:role AS text)::regrole
UNION ALL
SELECT c.relname, granted.privilege_type, a.attname::text
FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid, aclexplode(a.attacl) granted
WHERE c.relnamespace = current_schema()::regnamespace AND granted.grantee = CAST(:role AS text)::regrole
""")


class Table(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    is_enabled: bool
    is_forced: bool
    has_tenant: bool

    @property
    def tenant_column(self) -> str | None:
        """What says whose a row is; None for a table that is nobody's."""
        if self.has_tenant:
            return "tenant_id"
        return "id" if self.name == TENANTS else None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    table: str
    name: str
    roles: tuple[str, ...]
    sees: str | None
    writes: str | None
    cmd: str = "ALL"
    is_permissive: bool = True


def tables(connection: sa.Connection) -> Sequence[Table]:
    names = Table.__struct_fields__
    return [Table(**{name: getattr(row, name) for name in names}) for row in connection.execute(_TABLES)]


def policies(connection: sa.Connection) -> Sequence[Policy]:
    rows = connection.execute(_POLICIES).mappings()
    return [Policy(**{**row, "roles": tuple(row["roles"])}) for row in rows]


def privileges(connection: sa.Connection, quoted_role: str) -> dict[str, frozenset[Privilege]]:
    """What the role was given itself, by table."""
    found: dict[str, set[Privilege]] = {}
    for name, verb, column in connection.execute(_PRIVILEGES, {"role": quoted_role}):
        found.setdefault(name, set()).add((verb, column))
    return {name: frozenset(given) for name, given in found.items()}
