"""What happens when two transactions meet. SQLite lets one write at a time; so this is PostgreSQL's."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Coroutine
from typing import Any

import msgspec
import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from retinue.db.session import Database, Unit
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.errors import InvalidRequest
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.ids import new_id
from retinue.domain.messages import MessageStatus
from retinue.domain.runs import Run, RunStatus
from retinue.domain.tenants import Tenant
from tests.contract.repositories.builders import (
    LATER,
    a_checkpoint,
    a_conversation,
    a_message,
    a_run,
    an_answer,
    an_end,
    deltas,
)
from tests.contract.repositories.conftest import Add
from tests.contract.repositories.stage import Act, Stage
from tests.contract.repositories.test_runs import END
from tests.support.roles import superuser_url

pytestmark = pytest.mark.parametrize("migrated_url", ["postgresql"], indirect=True)

KEY = IdempotencyKey(route="POST /x", key="k", digest="d")


@pytest.fixture
async def stage(database: Database, tenant: Tenant, migrated_url: str) -> AsyncIterator[Stage]:
    engine = create_async_engine(superuser_url(migrated_url), isolation_level="AUTOCOMMIT")
    async with engine.connect() as observer:
        yield Stage(database, tenant, observer)
    await engine.dispose()


async def test_the_second_request_waits_and_gets_the_record_of_the_first(stage: Stage) -> None:
    run_id = new_id()

    async def act(unit: Unit) -> Any:
        record = await unit.idempotency.claim(KEY, keep_seconds=60)
        if record is None:
            await unit.idempotency.keep(KEY, run_id=run_id)
        return record

    first, second = await stage.meet(act, act)
    assert first is None
    assert second.run_id == run_id


async def test_the_second_request_acts_if_the_first_is_rolled_back(stage: Stage) -> None:
    def act(unit: Unit) -> Coroutine[Any, Any, Any]:
        return unit.idempotency.claim(KEY, keep_seconds=60)

    first, second = await stage.meet(act, act, commit=False)
    assert isinstance(first, asyncio.CancelledError)
    assert second is None


async def test_another_request_with_the_key_waits_and_is_refused(stage: Stage) -> None:
    other = msgspec.structs.replace(KEY, digest="other")
    _, second = await stage.meet(
        lambda unit: unit.idempotency.claim(KEY, keep_seconds=60),
        lambda unit: unit.idempotency.claim(other, keep_seconds=60),
    )
    assert isinstance(second, InvalidRequest)


async def test_an_expired_record_is_replaced_by_one_of_two(database: Database, tenant: Tenant, stage: Stage) -> None:
    async with database.unit(tenant.id) as unit:
        await unit.idempotency.claim(KEY, keep_seconds=-1)
    first, second = await stage.meet(
        lambda unit: unit.idempotency.claim(KEY, keep_seconds=60),
        lambda unit: unit.idempotency.claim(KEY, keep_seconds=60),
    )
    assert first is None
    assert second is not None


async def test_of_many_requests_with_one_key_one_acts(database: Database, tenant: Tenant) -> None:
    async def act() -> bool:
        async with database.unit(tenant.id) as unit:
            return await unit.idempotency.claim(KEY, keep_seconds=60) is None

    assert sorted(await asyncio.gather(*(act() for _ in range(20)))) == [False] * 19 + [True]


async def test_a_queued_run_is_started_by_one_of_two(stage: Stage, add_run: Add, conversation: Conversation) -> None:
    queued = await add_run(a_run(conversation, status=RunStatus.QUEUED))
    first, second = await stage.meet(
        lambda unit: unit.runs.start(queued.id, owner="me", lease_seconds=30, ordinal=1),
        lambda unit: unit.runs.start(queued.id, owner="you", lease_seconds=30, ordinal=1),
    )
    assert (first.id, second) == (queued.id, None)


async def test_a_lost_run_is_claimed_by_one_of_two(
    stage: Stage, database: Database, add_run: Add, conversation: Conversation
) -> None:
    lost = await add_run(a_run(conversation), lease_seconds=-5)
    first, second = await stage.pass_by(
        lambda unit: unit.runs.claim(lost.id, 1, owner="me", lease_seconds=30), claim(database, lost)
    )
    assert (first.attempt, second) == (2, None)


def finish(run: Run) -> Act:
    return lambda unit: unit.runs.finish(run.id, 1, **END, appended=0, at=LATER)


async def test_an_append_before_the_end_keeps_the_run_going(stage: Stage, run: Run) -> None:
    assert await stage.meet(lambda unit: unit.runs.append(run.id), finish(run)) == (True, False)


async def test_an_append_after_the_end_is_refused(stage: Stage, run: Run) -> None:
    assert await stage.meet(finish(run), lambda unit: unit.runs.append(run.id)) == (True, False)


async def test_an_append_that_is_rolled_back_does_not_keep_the_run_going(stage: Stage, run: Run) -> None:
    _, ended = await stage.meet(lambda unit: unit.runs.append(run.id), finish(run), commit=False)
    assert ended


async def test_a_request_to_cancel_after_the_end_finds_nothing(stage: Stage, run: Run) -> None:
    assert await stage.meet(finish(run), lambda unit: unit.runs.request_cancel(run.id)) == (True, None)


async def test_a_request_to_cancel_before_the_end_is_seen_with_it(stage: Stage, database: Database, run: Run) -> None:
    asked, ended = await stage.meet(lambda unit: unit.runs.request_cancel(run.id), finish(run))
    assert ended
    async with database.unit(run.tenant_id, read_only=True) as unit:
        assert (await unit.runs.get(run.id)).cancel_requested_at == asked.cancel_requested_at


async def test_a_queued_run_is_either_withdrawn_or_started(
    stage: Stage, add_run: Add, conversation: Conversation
) -> None:
    queued = await add_run(a_run(conversation, status=RunStatus.QUEUED))
    withdrawn, started = await stage.meet(
        lambda unit: unit.runs.finish(queued.id, 1, **END, from_statuses=(RunStatus.QUEUED,), at=LATER),
        lambda unit: unit.runs.start(queued.id, owner="me", lease_seconds=30, ordinal=1),
    )
    assert (withdrawn, started) == (True, None)


@pytest.fixture
async def slow(add_run: Add, conversation: Conversation) -> Run:
    """A run whose owner is not dead, only too late."""
    return await add_run(a_run(conversation), lease_seconds=-5)


async def claim(database: Database, run: Run) -> Run | None:
    async with database.unit(run.tenant_id) as unit:
        return await unit.runs.claim(run.id, 1, owner="you", lease_seconds=30)


@pytest.mark.parametrize("what", ["events", "checkpoint", "append", "cancel"])
async def test_a_claim_passes_over_a_run_that_somebody_is_writing(
    stage: Stage, database: Database, slow: Run, what: str
) -> None:
    """Whoever writes may be frozen; and what it has not committed must not appear after the new owner's first event.
    So the run is neither waited for nor taken: the next look takes it, with everything that was stored.
    """
    write: dict[str, Act] = {
        "events": lambda unit: unit.run_events.add(slow.id, 1, deltas(slow.id, 1, 1, 3)),
        "checkpoint": lambda unit: unit.checkpoints.add(a_checkpoint(slow, 1), 1),
        "append": lambda unit: unit.runs.append(slow.id),
        "cancel": lambda unit: unit.runs.request_cancel(slow.id),
    }
    written, claimed = await stage.pass_by(write[what], claim(database, slow))
    assert written
    assert claimed is None
    claimed = await claim(database, slow)
    assert claimed is not None
    assert claimed.attempt == 2
    async with database.unit(slow.tenant_id, read_only=True) as unit:
        assert len(await unit.run_events.read(slow.id)) == (3 if what == "events" else 0)
        assert len(await unit.checkpoints.list(slow.id)) == (what == "checkpoint")
    assert (claimed.appended, claimed.cancel_requested_at is not None) == (what == "append", what == "cancel")


async def test_a_claim_takes_another_run_than_the_one_that_is_written(
    stage: Stage, database: Database, add_run: Add, slow: Run, employee: Employee
) -> None:
    other = a_conversation(employee)
    async with database.unit(employee.tenant_id) as unit:
        await unit.conversations.add(other)
    free = await add_run(a_run(other), lease_seconds=-5)
    _, claimed = await stage.pass_by(
        lambda unit: unit.run_events.add(slow.id, 1, deltas(slow.id, 1, 1, 3)), claim(database, free)
    )
    assert claimed is not None
    assert claimed.id == free.id


async def test_whatever_the_owner_does_itself_passes_by_its_storing(stage: Stage, database: Database, run: Run) -> None:
    """Many runs are stored in one transaction: heartbeats that met its locks could wait for each other in a circle."""

    def store(unit: Unit) -> Awaitable[Any]:
        return unit.run_events.add(run.id, 1, deltas(run.id, 1, 1, 3))

    async def renew() -> Any:
        async with database.operator() as operator:
            return await operator.renew_leases("me", {run.id}, 30)

    async def cancel() -> Any:
        async with database.unit(run.tenant_id) as unit:
            return await unit.runs.request_cancel(run.id)

    assert await stage.pass_by(store, renew()) == (True, {run.id})
    _, asked = await stage.pass_by(store, cancel())
    assert asked.id == run.id


@pytest.mark.parametrize("what", ["events", "checkpoint"])
async def test_the_old_owner_stores_nothing_beside_a_claim(
    stage: Stage, database: Database, slow: Run, what: str
) -> None:
    store: dict[str, Act] = {
        "events": lambda unit: unit.run_events.add(slow.id, 1, deltas(slow.id, 1, 1, 3)),
        "checkpoint": lambda unit: unit.checkpoints.add(a_checkpoint(slow, 1), 1),
    }
    claimed, stored = await stage.meet(
        lambda unit: unit.runs.claim(slow.id, 1, owner="you", lease_seconds=30), store[what]
    )
    assert claimed is not None
    assert not stored
    async with database.unit(slow.tenant_id, read_only=True) as unit:
        assert await unit.run_events.read(slow.id) == []
        assert await unit.checkpoints.list(slow.id) == []


async def test_two_owners_do_not_take_one_message_twice(
    stage: Stage, database: Database, conversation: Conversation, run: Run
) -> None:
    answer = an_answer(conversation, 1, run_id=run.id)
    queued = a_message(conversation, 2, status=MessageStatus.PENDING)
    appended = a_message(conversation, 3, run_id=run.id, status=MessageStatus.PENDING)
    async with database.unit(run.tenant_id) as unit:
        await unit.messages.add(answer, queued, appended)
    took = await stage.meet(
        lambda unit: unit.messages.take(appended.id, answer.id), lambda unit: unit.messages.take(appended.id, answer.id)
    )
    assert took == (True, False)
    async with database.unit(run.tenant_id, read_only=True) as unit:
        messages = await unit.messages.list(conversation.id, limit=9)
    assert [(m.position, m.id) for m in messages] == [(1, appended.id), (2, answer.id), (3, queued.id)]


async def test_taking_a_message_past_queued_runs_waits_for_whoever_changes_the_queue(
    stage: Stage, database: Database, conversation: Conversation, run: Run
) -> None:
    """Else one that withdraws several runs and one that moves them could wait for each other in a circle."""
    answer, appended = an_answer(conversation, 1), a_message(conversation, 3, status=MessageStatus.PENDING)
    queued = a_message(conversation, 2, status=MessageStatus.PENDING)
    async with database.unit(run.tenant_id) as unit:
        await unit.messages.add(answer, queued, appended)
    _, took = await stage.meet(
        lambda unit: unit.conversations.get_for_update(conversation.id),
        lambda unit: unit.messages.take(appended.id, answer.id),
    )
    assert took


async def test_a_log_may_be_pruned_twice_at_once(stage: Stage, database: Database, run: Run) -> None:
    end = an_end(run, 3)
    async with database.unit(run.tenant_id) as unit:
        await unit.run_events.add(run.id, 1, [*deltas(run.id, 1, 1, 2), end])
    both = await stage.meet(lambda unit: unit.run_events.prune(run.id), lambda unit: unit.run_events.prune(run.id))
    assert both == (True, True)
    async with database.unit(run.tenant_id, read_only=True) as unit:
        assert await unit.run_events.read(run.id) == [end]
