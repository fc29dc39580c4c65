"""Rules that every table keeps."""

from dataclasses import fields
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import class_mapper

from retinue.db import tables as t

NOBODYS = {"tenants", "server_secrets"}
OWNED = [table for table in t.Base.metadata.sorted_tables if table.name not in NOBODYS]
LEADING_EXCEPTIONS = {
    "uq_employees_id",
    "uq_conversations_id",
    "uq_runs_id",
    "ix_runs_lease",
    "ix_runs_prunable",
    "ix_ledger_open",
    "ix_idempotency_records_expiry",
    "uq_approvals_id",
    "ix_approvals_expiry",
    "ix_approvals_password",
    "uq_api_keys_id",
    "ix_tenant_origins_origin",
}
"""How the operator finds an object's tenant, how the tenant of a key and those of a page are found, and how leases, old
logs, orphaned calls, expired records and approvals that nobody decided are swept.
"""
OF_NO_TENANT_TOO = {"idempotency_records", "audit_entries", "audit_heads"}
"""Hold the operator's own rows as well, under an id that is no tenant's."""


@pytest.mark.parametrize("table", OWNED, ids=lambda table: table.name)
def test_the_tenant_leads_keys_and_indexes(table: sa.Table) -> None:
    keys = [table.primary_key, *(item for item in table.constraints if isinstance(item, sa.UniqueConstraint))]
    assert {next(iter(key.columns)).name for key in keys} == {"tenant_id"}
    strays = {str(index.name) for index in table.indexes if next(iter(index.columns)).name != "tenant_id"}
    assert strays <= LEADING_EXCEPTIONS


@pytest.mark.parametrize("table", OWNED, ids=lambda table: table.name)
def test_foreign_keys_contain_the_tenant(table: sa.Table) -> None:
    if table.name in OF_NO_TENANT_TOO:
        assert not table.foreign_key_constraints
        return
    assert table.foreign_key_constraints
    assert {next(iter(key.column_keys)) for key in table.foreign_key_constraints} == {"tenant_id"}


def test_the_ledger_refers_to_the_tenant_only() -> None:
    keys = t.Base.metadata.tables["ledger"].foreign_key_constraints
    assert [key.referred_table.name for key in keys] == ["tenants"]


def test_nothing_is_loaded_behind_the_readers_back() -> None:
    relationships = [
        (mapper.class_.__name__, relationship.key)
        for mapper in t.Base.registry.mappers
        for relationship in class_mapper(mapper.class_).relationships
    ]
    assert relationships == []


def test_rows_do_not_show_secrets_or_contents() -> None:
    hidden: dict[Any, list[str]] = {
        t.TenantConfig: ["sealed_api_key"],
        t.Message: ["content", "reasoning", "tool_log"],
        t.RunEvents: ["payload"],
        t.ToolCall: ["arguments", "result"],
        t.Checkpoint: ["turns"],
        t.Approval: ["args", "reason", "message", "comment"],
        t.AuditEntry: ["payload"],
        t.ShopAction: ["answer"],
        t.IdempotencyRecord: ["answer"],
    }
    for table, names in hidden.items():
        shown = {field.name for field in fields(table) if field.repr}
        assert shown.isdisjoint(names)
        assert "tenant_id" in shown
