"""The role for jobs may do what the operator and housekeeping do, and nothing besides."""

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest

from retinue.db.repositories.sealed import SEALED, SealedValue
from retinue.db.row_security.privileges import JOBS, expanded
from retinue.db.session import Database, OperatorUnit
from retinue.domain.conversations import Conversation
from retinue.domain.errors import StorageFailed
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import new_id
from retinue.domain.runs import CallOutcome
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import a_config, a_run, a_tenant, an_entry
from tests.migrations.schema import look
from tests.support.roles import JOBS as ROLE

pytestmark = pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)

KEY = IdempotencyKey(route="POST /x", key="k", digest="d")
Operation = Callable[[OperatorUnit, Tenant], Awaitable[Any]]


class _Undo(Exception):
    """Leaves everything as it was."""


async def _rename(operator: OperatorUnit, tenant: Tenant) -> None:
    await operator.tenants.get_for_update(tenant.id)
    await operator.tenants.update(msgspec.structs.replace(tenant, name="new"))


async def _once(operator: OperatorUnit, _: Tenant) -> None:
    await operator.idempotency.claim(KEY, keep_seconds=60)
    await operator.idempotency.keep(KEY, answer=b"x")
    await operator.idempotency.forget(KEY)


async def _record(operator: OperatorUnit, _: Tenant) -> None:
    await operator.audit.record("tenant.updated", object_type="tenant", object_id="x")
    await operator.audit.flush()


async def _erase(operator: OperatorUnit, _: Tenant) -> None:
    empty = a_tenant(slug="empty")
    await operator.tenants.add(empty)
    await operator.tenants.delete(empty.id)
    await operator.erasures.take(empty.id, "me", 30)
    await operator.erasures.end(empty.id, "me")


async def _keep_secret(operator: OperatorUnit, _: Tenant) -> None:
    await operator.server_secrets.add("x", b"1")
    await operator.server_secrets.replace("x", b"1", b"2")


async def _rewrap(operator: OperatorUnit, tenant: Tenant) -> None:
    keys = {"server_secrets": "x", "tenant_configs": tenant.id}
    for column in SEALED:
        await operator.sealed.replace(column, SealedValue(keys[column.name], b"1"), b"2")


WRITES: dict[str, tuple[Operation, set[str]]] = {
    "a tenant": (lambda operator, _: operator.tenants.add(a_tenant(slug="other")), {"tenants.add"}),
    "a name": (_rename, {"tenants.update", "tenants.get_for_update"}),
    "an erasure": (_erase, {"tenants.delete", "erasures.take", "erasures.end"}),
    "a request": (_once, {"idempotency.claim", "idempotency.keep", "idempotency.forget"}),
    "a deed": (_record, {"audit.record", "audit.flush"}),
    "a use": (lambda operator, _: operator.access.note_use([new_id()]), {"access.note_use"}),
    "a secret": (_keep_secret, {"server_secrets.add", "server_secrets.replace"}),
    "a sealed value": (_rewrap, {"sealed.replace"}),
    "a lease": (lambda operator, _: operator.renew_leases("me", [new_id()], 30), {"renew_leases"}),
    "all leases": (lambda operator, _: operator.expire_leases_of_others("me"), {"expire_leases_of_others"}),
    "sums": (lambda operator, _: operator.usage.add_calls(9), {"usage.add_calls"}),
    "old records": (lambda operator, _: operator.delete_expired_idempotency(9), {"delete_expired_idempotency"}),
}
READS = {
    *("tenants.find", "tenants.get", "tenants.find_by_slug", "tenants.list", "audit.list", "audit.about"),
    *("audit.verify", "access.key", "access.live_keys", "access.lists_origin", "server_secrets.find"),
    *("erasures.list", "sealed.page", "sealed.count", "tenant_of_conversation", "tenant_of_employee"),
    *("tenant_of_run", "tenant_of_approval", "cancel_requests", "active_runs_with_expired_lease", "expired_waits"),
    *("count_pending_approvals", "startable_conversations", "prunable_runs", "orphaned_calls"),
    "usage.is_behind",
}


@pytest.fixture(autouse=True)
async def _something_there(database: Database, conversation: Conversation) -> None:
    tenant = a_tenant(id=conversation.tenant_id)
    run = a_run(conversation)
    call = an_entry(run)
    async with database.unit(tenant.id) as unit:
        await unit.config.put(a_config(tenant))
        await unit.runs.add(run, owner="me", lease_seconds=30)
        await unit.ledger.open(call)
        await unit.ledger.close(
            call.id, outcome=CallOutcome.FAILED, usage=None, cost=None, error_code=None, at=call.opened_at
        )
        await unit.idempotency.claim(KEY, keep_seconds=0)


def test_every_method_of_the_operators_unit_is_in_this_suite(migrated_url: str) -> None:
    methods = {name for name in dir(OperatorUnit) if not name.startswith("_") and callable(getattr(OperatorUnit, name))}
    repositories = {name: member for name, member in vars(OperatorUnit).items() if hasattr(member, "func")}
    for name, member in repositories.items():
        kind = member.func.__annotations__["return"]
        methods |= {f"{name}.{method}" for method in dir(kind) if not method.startswith("_")}
    written = {method for _, names in WRITES.values() for method in names}
    assert written | READS == methods - {"flush", "audit.is_flushed", "idempotency.keeping"}
    assert not written & READS


async def test_it_may_do_all_of_it(database: Database, tenant: Tenant) -> None:
    assert await _forbidden(database, tenant) == set()


async def test_without_any_of_its_privileges_something_fails(
    database: Database, tenant: Tenant, migrated_url: str
) -> None:
    superfluous = []
    for table, words in JOBS.items():
        for verb, column in sorted(expanded(words), key=str):
            privilege = f"{verb} ({column}) ON {table}" if column else f"{verb} ON {table}"
            await _run(migrated_url, f"REVOKE {privilege} FROM {ROLE}")
            if not await _forbidden(database, tenant):
                superfluous.append(privilege)
            await _run(migrated_url, f"GRANT {privilege} TO {ROLE}")
    assert superfluous == []


async def _run(url: str, statement: str) -> None:
    await look(url, lambda connection: connection.exec_driver_sql(statement))


async def _forbidden(database: Database, tenant: Tenant) -> set[str]:
    """What it may not do at present. Nothing of it remains."""
    forbidden = set()
    for name, (operation, _) in WRITES.items():
        try:
            async with database.operator() as operator:
                await operation(operator, tenant)
                raise _Undo
        except _Undo:
            continue
        except StorageFailed as failure:
            if getattr(getattr(failure.__cause__, "orig", failure.__cause__), "sqlstate", None) != "42501":
                raise
            forbidden.add(name)
    return forbidden
