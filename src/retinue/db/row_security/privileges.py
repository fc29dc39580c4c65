"""What each role may do with each table, and no more than that."""

from collections.abc import Iterable, Mapping

Privilege = tuple[str, str | None]
"""A verb, and the one column that it is limited to."""

READ = ("SELECT",)

APPLICATION: Mapping[str, tuple[str, ...]] = {
    "alembic_version": READ,
    # Nothing of it is written: PostgreSQL wants this much of whoever locks a row.
    "tenants": ("SELECT", "UPDATE (updated_at)"),
    "audit_entries": ("SELECT", "INSERT"),
    "audit_heads": ("SELECT", "INSERT", "UPDATE"),
    "erasures": ("SELECT", "UPDATE (lease_expires_at, removed)"),
}
"""Of the application's role, beyond `OWN`. A table without a tenant that is not named here does not exist for it."""

OWN = ("SELECT", "INSERT", "UPDATE", "DELETE")
"""Of the application's role on every other table of tenants."""

JOBS: Mapping[str, tuple[str, ...]] = {
    "tenants": ("INSERT", "UPDATE (name, slug, updated_at)", "DELETE"),
    "tenant_configs": ("UPDATE (sealed_api_key)",),
    "erasures": ("INSERT", "UPDATE (worker, lease_expires_at)"),
    "runs": ("UPDATE (lease_expires_at)",),
    "ledger": ("UPDATE (is_summed)",),
    "usage_sums": ("INSERT", "UPDATE"),
    "usage_returns": ("INSERT", "UPDATE"),
    "idempotency_records": ("INSERT", "UPDATE", "DELETE"),
    "audit_entries": ("INSERT",),
    "audit_heads": ("INSERT", "UPDATE"),
    "api_keys": ("UPDATE (last_used_at)",),
    "server_secrets": ("INSERT", "UPDATE (sealed)"),
}
"""Of the role for jobs, besides reading every table: what `OperatorUnit` writes. What goes with a tenant is
deleted by foreign keys, which ask for no privilege.
"""


def of_application(table: str, *, has_tenant: bool) -> frozenset[Privilege]:
    return expanded(APPLICATION.get(table, OWN if has_tenant else ()))


def of_jobs(table: str) -> frozenset[Privilege]:
    return expanded((*READ, *JOBS.get(table, ())))


def expanded(words: Iterable[str]) -> frozenset[Privilege]:
    """`UPDATE (a, b)` is two privileges."""
    found: set[Privilege] = set()
    for word in words:
        verb, _, columns = word.partition(" (")
        found |= {(verb, column.strip()) for column in columns.rstrip(")").split(",")} if columns else {(verb, None)}
    return frozenset(found)
