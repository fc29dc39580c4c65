"""Tenants do not exist for each other: whatever one unit is asked about another tenant's rows, it finds nothing."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from retinue.db.repositories.base import TenantRepository
from retinue.db.session import Database, Unit
from retinue.domain.approvals import ApprovalStatus
from retinue.domain.budgets import SetBy
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.errors import InternalError, NotFound
from retinue.domain.limits import NO_BOUNDS, StoredLimits
from retinue.domain.messages import MessageStatus
from retinue.domain.runs import CallOutcome, RunStatus, WaitingFor
from retinue.domain.tenants import Tenant
from tests.contract.repositories.belongings import (
    A_PRICE,
    HANGINGS,
    HOUR,
    KEY,
    READS,
    WRITES,
    Property,
    config_of,
    tenant_of,
)
from tests.contract.repositories.builders import (
    COST,
    LATER,
    NEVER,
    NOON,
    USAGE,
    a_call,
    a_checkpoint,
    a_conversation,
    a_coupon,
    a_grant,
    a_message,
    a_run,
    a_tenant,
    an_answer,
    an_approval,
    an_employee,
    an_end,
    an_entry,
    an_order,
    deltas,
)
from tests.contract.repositories.credentials import an_api_key
from tests.contract.repositories.spending import a_budget


@pytest.fixture
async def theirs(database: Database, employee: Employee, conversation: Conversation) -> Property:
    answer, run = msgspec.structs.replace(an_answer(conversation, 1), content="Hi"), a_run(conversation)
    queued = a_run(conversation, status=RunStatus.QUEUED)
    appended = a_message(conversation, 2, run_id=run.id, status=MessageStatus.PENDING)
    elsewhere = a_conversation(employee, external_id=None)
    waiting = a_run(elsewhere)
    approval = an_approval(run)
    allowed = an_approval(run, 2, status=ApprovalStatus.GRANTED, password_expires_at=NEVER)
    budget = a_budget(run.tenant_id, limit_micros=0, set_by=SetBy.OPERATOR)
    calls = [an_entry(run, tries=2), an_entry(run, step=2, opened_at=NOON + HOUR / 2)]
    key = an_api_key(a_tenant(id=run.tenant_id))
    owned = Property(
        employee, conversation, answer, run, an_entry(run), budget, queued, waiting, appended, approval, allowed, key
    )
    tenant = tenant_of(owned)
    async with database.unit(conversation.tenant_id) as unit:
        await unit.config.put(config_of(owned))
        await unit.api_keys.add(key, b"digest", seconds=None)
        await unit.origins.replace(["https://app.example"])
        await unit.messages.add(answer, appended)
        await unit.runs.add(run, owner="me", lease_seconds=-5)
        await unit.runs.add(queued, owner=None, lease_seconds=0)
        await unit.run_events.add(run.id, 1, [*deltas(run.id, 1, 1, 2), an_end(run, 3)])
        await unit.checkpoints.add(a_checkpoint(run, 1), 1)
        await unit.idempotency.claim(KEY, keep_seconds=60)
        await unit.idempotency.keep(KEY, run_id=run.id)
        await unit.conversations.add(elsewhere)
        await unit.runs.add(waiting, owner="me", lease_seconds=30)
        await unit.runs.pause(waiting.id, 1, waiting_for=WaitingFor.APPROVAL)
        await unit.tool_calls.add(run.id, [a_call(run, 1)])
        await unit.approvals.add(approval)
        await unit.approvals.add(allowed)
        await unit.approvals.add(an_approval(waiting, expires_at=NOON))
        await unit.grants.add(a_grant(approval))
        await unit.shop.put_orders([an_order(tenant)])
        await unit.shop.add_coupon(a_coupon(tenant))
        await unit.shop.keep_action("k", {"status": "applied"})
        await unit.ledger.open(owned.entry)
        for call in calls:
            await unit.ledger.open(call)
            await unit.ledger.close(
                call.id, outcome=CallOutcome.COMPLETED, usage=USAGE, cost=COST, error_code=None, at=LATER
            )
        await unit.budgets.add(budget)
        await unit.prices.replace([A_PRICE])
        await unit.limits.put(StoredLimits(limits=NO_BOUNDS, updated_at=NOON))
        await unit.audit.record("order.cancelled", object_type="order", object_id="1042")
    async with database.operator() as operator:
        assert await operator.usage.add_calls(9) == 2
    return owned


async def test_reads_find_nothing(database: Database, theirs: Property, neighbour: Tenant) -> None:
    async with database.unit(neighbour.id, read_only=True) as unit:
        seen = {name: await read(unit, theirs) for name, read in READS.items()}
    assert {name: value for name, value in seen.items() if value} == {}


async def test_the_same_reads_find_something_for_the_owner(database: Database, theirs: Property) -> None:
    async with database.unit(theirs.run.tenant_id, read_only=True) as unit:
        seen = {name: await read(unit, theirs) for name, read in READS.items()}
    assert {name for name, value in seen.items() if not value} == {
        "conversations.find_by_external_id",
        "approvals.is_late",
    }


async def test_writes_change_nothing(database: Database, theirs: Property, neighbour: Tenant) -> None:
    async def everything() -> dict[str, Any]:
        async with database.unit(theirs.run.tenant_id, read_only=True) as unit:
            reads = {name: repr(await read(unit, theirs)) for name, read in READS.items()}
        async with database.unit(theirs.run.tenant_id) as unit:
            return {**reads, "record": repr(await unit.idempotency.claim(KEY, keep_seconds=60))}

    before = await everything()
    for name, write in WRITES.items():
        async with database.unit(neighbour.id) as unit:
            with suppress(NotFound):
                assert not await write(unit, theirs), name
    assert await everything() == before


@pytest.mark.parametrize("hang", HANGINGS.values(), ids=HANGINGS)
async def test_a_row_cannot_be_hung_on_another_tenants(
    database: Database,
    theirs: Property,
    neighbour: Tenant,
    hang: Callable[[Unit, Property], Awaitable[Any]],
) -> None:
    """Not even with the right ids: the keys between tables contain the tenant."""
    with pytest.raises(NotFound):
        async with database.unit(neighbour.id) as unit:
            await hang(unit, theirs)


async def test_a_row_that_says_it_is_anothers_is_refused(database: Database, tenant: Tenant, neighbour: Tenant) -> None:
    with pytest.raises(InternalError):
        async with database.unit(neighbour.id) as unit:
            await unit.employees.add(an_employee(tenant))


async def test_every_method_of_a_unit_is_in_this_suite() -> None:
    """Adding rows is above, or in the suite of the chain or the shop; the rest of a repository's methods read or write,
    and are in one of the tables.
    """
    repositories = {name for name, kind in vars(Unit).items() if hasattr(kind, "func")}
    known = {*READS, *WRITES}
    elsewhere = {
        "add",
        "adding",
        "adding_last",
        "record",
        "flush",
        "is_flushed",
        "recalling",
        "put_orders",
        "add_coupon",
        "keep_action",
        "put",
        "booking",
        "open",
        "opening",
        "get",
        "get_by_slug",
        "lock_for_start",
        "last_position",
        "next_ordinal",
    }
    unknown = [
        f"{name}.{method}"
        for name in repositories
        for method in _methods(vars(Unit)[name].func.__annotations__["return"])
        if method not in elsewhere and f"{name}.{method}" not in known
    ]
    assert unknown == []


def _methods(repository: type[TenantRepository]) -> set[str]:
    """Public ones, also those of the classes that it is composed of."""
    return {
        name
        for kind in repository.__mro__
        if issubclass(kind, TenantRepository)
        for name in vars(kind)
        if not name.startswith("_")
    }
