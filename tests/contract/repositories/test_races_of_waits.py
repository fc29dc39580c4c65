"""What happens when two transactions meet over a run that waits, an approval, or the audit trail. SQLite lets one write
at a time; so this is PostgreSQL's.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from retinue.db.session import Database, Unit
from retinue.domain.approvals import ApprovalStatus
from retinue.domain.audit import AuditEntry
from retinue.domain.errors import NotFound
from retinue.domain.runs import Run, WaitingFor
from retinue.domain.tenants import Tenant
from retinue.domain.tools import CallStatus
from tests.contract.repositories.builders import LATER, NEVER, a_call, an_approval, an_order, deltas
from tests.contract.repositories.stage import Act, Stage
from tests.contract.repositories.test_approvals import NO, YES
from tests.contract.repositories.test_runs import END
from tests.support.roles import superuser_url

pytestmark = pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)


@pytest.fixture
async def stage(database: Database, tenant: Tenant, migrated_url: str) -> AsyncIterator[Stage]:
    engine = create_async_engine(superuser_url(migrated_url), isolation_level="AUTOCOMMIT")
    async with engine.connect() as observer:
        yield Stage(database, tenant, observer)
    await engine.dispose()


@pytest.fixture
async def waiting(database: Database, run: Run) -> Run:
    async with database.unit(run.tenant_id) as unit:
        assert await unit.runs.pause(run.id, 1, waiting_for=WaitingFor.APPROVAL)
    return run


async def record(unit: Unit) -> AuditEntry:
    """Write an entry now, and not only when the unit ends."""
    await unit.audit.record("order.cancelled", object_type="order", object_id="1")
    return (await unit.audit.list(limit=1))[0]


async def test_the_second_decision_waits_and_loses(stage: Stage, database: Database, run: Run) -> None:
    approval = an_approval(run)
    async with database.unit(run.tenant_id) as unit:
        await unit.approvals.add(approval)
    first, second = await stage.meet(
        lambda unit: unit.approvals.decide(approval.id, **YES), lambda unit: unit.approvals.decide(approval.id, **NO)
    )
    assert (first.status, second) == (ApprovalStatus.GRANTED, None)


async def test_a_decision_that_is_rolled_back_leaves_the_place_to_the_next(
    stage: Stage, database: Database, run: Run
) -> None:
    approval = an_approval(run)
    async with database.unit(run.tenant_id) as unit:
        await unit.approvals.add(approval)
    _, second = await stage.meet(
        lambda unit: unit.approvals.decide(approval.id, **YES),
        lambda unit: unit.approvals.decide(approval.id, **NO),
        commit=False,
    )
    assert second.status is ApprovalStatus.DENIED


@pytest.mark.parametrize("what", ["get_for_update", "lock"])
async def test_nobody_decides_what_somebody_has_locked(stage: Stage, database: Database, run: Run, what: str) -> None:
    approval = an_approval(run)
    async with database.unit(run.tenant_id) as unit:
        await unit.approvals.add(approval)
    locks: dict[str, Act] = {
        "get_for_update": lambda unit: unit.approvals.get_for_update(approval.id),
        "lock": lambda unit: unit.approvals.lock(run.id),
    }
    _, decided = await stage.meet(locks[what], lambda unit: unit.approvals.decide(approval.id, **YES))
    assert decided is not None


async def test_a_decision_beside_the_end_of_the_run_loses(stage: Stage, database: Database, run: Run) -> None:
    approval = an_approval(run)
    async with database.unit(run.tenant_id) as unit:
        await unit.approvals.add(approval)
    _, decided = await stage.meet(
        lambda unit: unit.approvals.supersede(run.id), lambda unit: unit.approvals.decide(approval.id, **YES)
    )
    assert decided is None


async def test_the_second_password_waits_and_is_refused(stage: Stage, database: Database, run: Run) -> None:
    allowed = an_approval(run, status=ApprovalStatus.GRANTED, password_expires_at=NEVER)
    async with database.unit(run.tenant_id) as unit:
        await unit.approvals.add(allowed)

    def give(unit: Unit) -> Any:
        return unit.approvals.end_password(allowed.id)

    assert await stage.meet(give, give) == (True, False)


async def test_a_run_is_woken_once(stage: Stage, waiting: Run) -> None:
    def wake(unit: Unit) -> Any:
        return unit.runs.wake(waiting.id, 1)

    assert await stage.meet(wake, wake) == (True, False)


async def test_a_run_that_ends_is_not_resumed(stage: Stage, waiting: Run) -> None:
    ended, resumed = await stage.meet(
        lambda unit: unit.runs.finish(waiting.id, 1, **END, at=LATER),
        lambda unit: unit.runs.resume(waiting.id, 1, owner="you", lease_seconds=30),
    )
    assert (ended, resumed) == (True, None)


async def test_who_resumes_a_run_sees_all_that_was_stored_before(
    stage: Stage, database: Database, waiting: Run
) -> None:
    """The old owner may still be committing; nothing of it may appear after the new one's first event."""
    stored, resumed = await stage.meet(
        lambda unit: unit.run_events.add(waiting.id, 1, deltas(waiting.id, 1, 1, 3)),
        lambda unit: unit.runs.resume(waiting.id, 1, owner="you", lease_seconds=30),
    )
    assert (stored, resumed.attempt) == (True, 2)


async def test_the_old_owner_stores_nothing_beside_a_resumption(stage: Stage, database: Database, waiting: Run) -> None:
    resumed, stored = await stage.meet(
        lambda unit: unit.runs.resume(waiting.id, 1, owner="you", lease_seconds=30),
        lambda unit: unit.run_events.add(waiting.id, 1, deltas(waiting.id, 1, 1, 3)),
    )
    assert (resumed.attempt, stored) == (2, False)


async def test_a_request_to_cancel_keeps_a_run_from_pausing(stage: Stage, run: Run) -> None:
    _, paused = await stage.meet(
        lambda unit: unit.runs.request_cancel(run.id),
        lambda unit: unit.runs.pause(run.id, 1, waiting_for=WaitingFor.APPROVAL),
    )
    assert not paused


async def test_a_request_to_cancel_that_meets_a_pause_knows_that_it_came_too_late(stage: Stage, run: Run) -> None:
    paused, asked = await stage.meet(
        lambda unit: unit.runs.pause(run.id, 1, waiting_for=WaitingFor.APPROVAL),
        lambda unit: unit.runs.request_cancel(run.id),
    )
    assert (paused, asked) == (True, None)


async def test_whoever_must_not_wait_passes_over_what_is_being_decided(
    stage: Stage, database: Database, run: Run
) -> None:
    approval = an_approval(run)
    async with database.unit(run.tenant_id) as unit:
        await unit.approvals.add(approval)

    async def try_lock() -> bool:
        async with database.unit(run.tenant_id) as unit:
            return await unit.approvals.try_lock(run.id)

    decided, locked = await stage.pass_by(lambda unit: unit.approvals.decide(approval.id, **YES), try_lock())
    assert (decided.status, locked) == (ApprovalStatus.GRANTED, False)
    assert await try_lock()


async def test_a_call_is_begun_by_one_of_two(stage: Stage, database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        await unit.tool_calls.add(run.id, [a_call(run, 1)])

    def begin(unit: Unit) -> Any:
        return unit.tool_calls.change(run.id, 1, to=CallStatus.EXECUTING, from_=(CallStatus.PROPOSED,))

    assert await stage.meet(begin, begin) == (True, False)


async def test_who_records_second_waits_and_follows(stage: Stage) -> None:
    first, second = await stage.meet(record, record)
    assert (first.seq, second.seq, second.previous) == (1, 2, first.hash)
    _, third = await stage.meet(record, record, commit=False)
    assert (third.seq, third.previous) == (3, second.hash)


async def test_nobody_waits_for_the_chain_before_the_end(stage: Stage, database: Database, tenant: Tenant) -> None:
    """Else two that record and lock something, in another order each, could wait for each other in a circle."""

    async def only_record(unit: Unit) -> None:
        await unit.audit.record("order.cancelled", object_type="order", object_id="1")

    async def record_and_end() -> AuditEntry:
        async with database.unit(tenant.id) as unit:
            return await record(unit)

    _, entry = await stage.pass_by(only_record, record_and_end())
    assert entry.seq == 1


async def test_two_tenants_record_without_waiting(stage: Stage, database: Database, neighbour: Tenant) -> None:
    async def record_elsewhere() -> AuditEntry:
        async with database.unit(neighbour.id) as unit:
            return await record(unit)

    first, other = await stage.pass_by(record, record_elsewhere())
    assert (first.seq, other.seq) == (1, 1)


async def test_a_call_that_is_repeated_at_once_waits_for_the_first(stage: Stage) -> None:
    def keep(unit: Unit) -> Any:
        return unit.shop.keep_action("run:1", {"status": "applied"})

    assert await stage.meet(keep, keep) == (True, False)


async def test_two_that_change_an_order_do_so_one_after_the_other(
    stage: Stage, database: Database, tenant: Tenant
) -> None:
    async with database.unit(tenant.id) as unit:
        await unit.shop.put_orders([an_order(tenant)])
    order, changed = an_order(tenant), an_order(tenant, discount_percent=50)

    async def change(unit: Unit) -> Any:
        assert await unit.shop.order_for_update("1042") == order
        await unit.shop.update_order(changed)

    _, seen = await stage.meet(change, lambda unit: unit.shop.order_for_update("1042"))
    assert seen == changed


async def test_a_conversation_that_is_deleted_meanwhile_takes_its_approvals_along(
    stage: Stage, database: Database, run: Run
) -> None:
    _, added = await stage.meet(
        lambda unit: unit.conversations.delete(run.conversation_id),
        lambda unit: unit.approvals.add(an_approval(run)),
    )
    assert isinstance(added, NotFound)
