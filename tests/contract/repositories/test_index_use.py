"""What is asked often is found by an index.

SQLite plans the same for any contents. PostgreSQL looks at them, so there are some where it matters.
"""

import re
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest
import sqlalchemy as sa

from retinue.db.session import Database, OperatorUnit, Unit
from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from retinue.domain.runs import CallOutcome
from retinue.domain.spending import Grouping
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import NOON, a_conversation, a_run, a_tenant, an_employee, an_entry
from tests.migrations.schema import look
from tests.support.roles import open_as_superuser
from tests.support.statements import listening

ID = new_id()
MONTH_LATER = NOON + timedelta(days=30)
ENTRY = an_entry(a_run(a_conversation(an_employee(a_tenant()))))

ASKED: dict[str, tuple[Callable[[Unit], Awaitable[Any]], set[str]]] = {
    "approvals of a run": (lambda unit: unit.approvals.of_run(ID), {"ix_approvals_run"}),
    "approvals that nobody decided": (lambda unit: unit.approvals.list_pending(limit=9), {"ix_approvals_pending"}),
    "more of them": (lambda unit: unit.approvals.list_pending(limit=9, after=ID), {"ix_approvals_pending"}),
    "grants": (lambda unit: unit.grants.list(ID), {"ix_conversation_grants_conversation"}),
    "calls of a run": (lambda unit: unit.tool_calls.list(ID), {"sqlite_autoindex_tool_calls_1"}),
    "recent messages": (lambda unit: unit.messages.count_recent(ID, 10), {"ix_messages_user"}),
    "the trail": (lambda unit: unit.audit.list(limit=9, after=5), {"sqlite_autoindex_audit_entries_1"}),
    "the trail of commands": (
        lambda unit: unit.audit.list(limit=9, action="command.executed"),
        {"ix_audit_entries_action"},
    ),
    "the trail of an object": (
        lambda unit: unit.audit.list(limit=9, object_type="run", object_id="x"),
        {"ix_audit_entries_object"},
    ),
    "the trail of a day": (lambda unit: unit.audit.list(limit=9, since=NOON, until=NOON), {"ix_audit_entries_at"}),
    "budgets of a call": (
        lambda unit: unit.ledger.reserve(ENTRY, lambda: None),
        {"uq_budgets_subject"},
    ),
    "a call that is closed": (
        lambda unit: unit.ledger.close(ID, outcome=CallOutcome.FAILED, usage=None, cost=None, error_code=None, at=NOON),
        {"sqlite_autoindex_ledger_1"},
    ),
    "budgets": (lambda unit: unit.budgets.list(limit=9, after=ID), {"sqlite_autoindex_budgets_1"}),
    "usage": (
        lambda unit: unit.usage.summarize(Grouping.CONVERSATION, since=NOON, until=MONTH_LATER, limit=9, after=str(ID)),
        {
            "ix_ledger_opened",
            "ix_ledger_unsummed",
            "ix_ledger_run",
            "sqlite_autoindex_usage_sums_1",
            "sqlite_autoindex_usage_returns_1",
        },
    ),
    "an order": (lambda unit: unit.shop.order("1042"), {"sqlite_autoindex_shop_orders_1"}),
    "an action": (lambda unit: unit.shop.action("run:1"), {"sqlite_autoindex_shop_actions_1"}),
    "what expires with a run": (lambda unit: unit.approvals.expire(ID), {"ix_approvals_run"}),
    "what ends with a run": (lambda unit: unit.approvals.supersede(ID), {"ix_approvals_run"}),
    "a session": (
        lambda unit: unit.conversations.session(ID, 1),
        {"uq_conversations_id", "uq_runs_ordinal", "uq_runs_active"},
    ),
}


MANY_APPROVALS = """
INSERT INTO approvals SELECT
    CAST(:tenant AS uuid), gen_random_uuid(), md5((n / 4)::text)::uuid, gen_random_uuid(), gen_random_uuid(), n % 4,
    'c', 'tool', '1', '{}', '', 'write', 'low', '', '', '', CASE WHEN n % 9 = 0 THEN 'pending' ELSE 'granted' END,
    NULL, NULL, NULL, now(), now() + n * interval '1 minute', NULL, 1, 1,
    CASE WHEN n % 9 = 1 THEN now() + n * interval '1 minute' END, 0
FROM generate_series(1, 9000) AS n
"""
MANY_CALLS = """
INSERT INTO ledger (
    tenant_id, id, run_id, conversation_id, employee_id, step, attempt, tries, provider, model, outcome, opened_at
) SELECT
    CAST(:tenant AS uuid), gen_random_uuid(), md5((n / 2)::text)::uuid, md5((n / 9)::text)::uuid, gen_random_uuid(),
    1, 1, 1, '', '', 'completed', CAST('2026-02-01' AS timestamptz) + n * interval '15 minutes'
FROM generate_series(1, 9000) AS n
"""
ONLY_SQLITE = pytest.mark.parametrize("migrated_url", ["sqlite"], indirect=True)
ONLY_POSTGRESQL = pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)


@ONLY_SQLITE
@pytest.mark.parametrize("name", ASKED)
async def test_what_a_tenant_asks_is_found_by_an_index(database: Database, tenant: Tenant, name: str) -> None:
    ask, indexes = ASKED[name]
    async with database.unit(tenant.id) as unit:
        plan = await plan_of(database, unit, ask)
    assert used(plan) == indexes
    assert re.findall(r"SCAN (?!CONSTANT|\(subquery|anon_)", plan) == []


@ONLY_SQLITE
async def test_usage_is_looked_up_span_by_span(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        plan = await plan_of(database, unit, ASKED["usage"][0])
    for table, columns in {
        "usage_sums": "span=? AND key=?",
        "usage_sums_1": "span=? AND key>?",
        "usage_returns": "reach=? AND slot>? AND slot<?",
        "ledger_1": "run_id=?",
    }.items():
        searches = re.findall(rf"SEARCH {table} .*", plan)
        assert searches
        assert all(search.endswith(f"{columns})") for search in searches)


@ONLY_POSTGRESQL
async def test_usage_is_found_by_indexes_among_many_calls(
    database: Database, tenant: Tenant, migrated_url: str
) -> None:
    await _store_many(migrated_url, tenant, MANY_CALLS, "ledger")
    async with database.operator() as operator:
        await operator.usage.add_calls(8000)
    await look(migrated_url, lambda connection: connection.exec_driver_sql("ANALYZE ledger, usage_sums, usage_returns"))
    async with database.unit(tenant.id) as unit:
        plan = await plan_of(database, unit, ASKED["usage"][0])
    indexes = {"ix_ledger_opened", "ix_ledger_unsummed", "ix_ledger_run", "pk_usage_sums", "pk_usage_returns"}
    assert used(plan) == indexes
    assert re.search(r"Index Cond: .* AND \(reach = .* AND \(slot >= .* AND \(slot < ", plan)
    assert "Parallel" not in plan


@ONLY_SQLITE
async def test_runs_that_are_being_written_are_found_by_an_index(database: Database, tenant: Tenant) -> None:
    """Two are equally good, and it depends on the version of SQLite which one is taken."""
    async with database.unit(tenant.id) as unit:
        count = unit.limits.count_runs
        plan = await plan_of(database, unit, lambda _: count(key_id=ID, user_id="ada", only_held=True))
    assert used(plan) in ({"uq_runs_active"}, {"ix_runs_employee_active"})
    assert re.findall(r"SCAN (?!CONSTANT)", plan) == []


@ONLY_SQLITE
@pytest.mark.parametrize(
    ("ask", "indexes"),
    [
        (lambda unit: unit.expired_waits(9), {"ix_approvals_expiry", "ix_approvals_password", "uq_runs_id"}),
        (lambda unit: unit.tenant_of_approval(ID), {"uq_approvals_id"}),
    ],
    ids=["what came too late", "the tenant of an approval"],
)
async def test_what_the_operator_asks_is_found_by_an_index(
    database: Database, ask: Callable[[OperatorUnit], Awaitable[Any]], indexes: set[str]
) -> None:
    async with database.operator() as operator:
        plan = await plan_of(database, operator, ask)
    assert used(plan) == indexes
    assert "SCAN" not in plan


@ONLY_POSTGRESQL
async def test_approvals_are_found_by_their_index_among_many(
    database: Database, tenant: Tenant, migrated_url: str
) -> None:
    await _store_many(migrated_url, tenant, MANY_APPROVALS, "approvals")
    async with database.operator() as operator:
        late = await plan_of(database, operator, lambda operator: operator.expired_waits(9))
    assert "Index Cond: (expires_at <= (statement_timestamp() " in late
    assert "Index Cond: (password_expires_at <= (statement_timestamp() " in late
    async with database.unit(tenant.id) as unit:
        for ask in (
            lambda unit: unit.approvals.of_run(ID),
            lambda unit: unit.approvals.expire(ID),
            lambda unit: unit.approvals.supersede(ID),
            lambda unit: unit.approvals.move_pause(ID, attempt=1, seq=1),
        ):
            assert used(await plan_of(database, unit, ask)) == {"ix_approvals_run"}
        page = await plan_of(database, unit, lambda unit: unit.approvals.list_pending(limit=9, after=ID))
        assert used(page) == {"ix_approvals_pending"}


async def _store_many(url: str, tenant: Tenant, rows: str, table: str) -> None:
    almighty = open_as_superuser(url)
    async with almighty.unit(tenant.id) as unit:
        connection = unit._executor.connection.sqlalchemy
        await connection.exec_driver_sql("SET LOCAL session_replication_role = replica")  # there is nothing to refer to
        await connection.execute(sa.text(rows), {"tenant": tenant.id})
        await connection.exec_driver_sql(f"ANALYZE {table}")
    await almighty.aclose()


@ONLY_POSTGRESQL
async def test_recent_messages_are_searched_by_their_time(database: Database, tenant: Tenant) -> None:
    async with database.unit(tenant.id) as unit:
        await unit._executor.connection.sqlalchemy.exec_driver_sql("SET LOCAL enable_seqscan = off")
        plan = await plan_of(database, unit, ASKED["recent messages"][0])
    assert used(plan) == {"ix_messages_user"}
    assert "(created_at > (statement_timestamp() " in "".join(re.findall("Index Cond.*", plan))


async def plan_of(database: Database, unit: Any, ask: Callable[[Any], Awaitable[Any]]) -> str:
    """How the database carries out what it is asked. Nothing has to be there."""
    with listening() as asked, suppress(NotFound):
        await ask(unit)
    assert asked
    word, column = ("EXPLAIN QUERY PLAN ", 3) if database.is_sqlite else ("EXPLAIN ", 0)
    connection = unit._executor.connection.sqlalchemy
    plans = [await connection.exec_driver_sql(word + each.sql, each.arguments) for each in asked]
    return "\n".join(line[column] for plan in plans for line in plan)


def used(plan: str) -> set[str]:
    """Besides that of deleted tenants, which everything asks."""
    found = re.findall(r"(?:INDEX|Index(?: Only)? Scan(?: Backward)? using|Bitmap Index Scan on) ([a-z]\w+)", plan)
    return set(found) - {"sqlite_autoindex_erasures_1", "pk_erasures"}
