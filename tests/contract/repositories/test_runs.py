"""Runs and their leases."""

import asyncio
from typing import Any

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.employees import Employee
from retinue.domain.errors import Conflict, NotFound
from retinue.domain.ids import new_id
from retinue.domain.runs import ACTIVE_STATUSES, Run, RunStatus
from tests.contract.repositories.builders import COST, LATER, STATS, USAGE, a_conversation, a_run

END: dict[str, Any] = {
    "status": RunStatus.COMPLETED,
    "finish_reason": "stop",
    "error_code": None,
    "usage": USAGE,
    "cost": COST,
    "generation_stats": STATS,
    "event_count": 12,
    "text_sha256": "ab" * 32,
}


@pytest.fixture
async def run(database: Database, conversation: Conversation) -> Run:
    return await added(database, a_run(conversation))


async def added(database: Database, run: Run, *, owner: str = "me", lease_seconds: float = 30) -> Run:
    async with database.unit(run.tenant_id) as unit:
        await unit.runs.add(run, owner=owner, lease_seconds=lease_seconds)
    return run


async def test_a_run_comes_back_as_it_went_in(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id, read_only=True) as unit:
        assert await unit.runs.get(run.id) == run
        assert await unit.runs.active(run.conversation_id) == run
        with pytest.raises(NotFound):
            await unit.runs.get(new_id())


@pytest.mark.parametrize("status", ACTIVE_STATUSES)
async def test_a_conversation_has_one_active_run(
    database: Database, conversation: Conversation, status: RunStatus
) -> None:
    first = await added(database, a_run(conversation, status=status))
    async with database.unit(conversation.tenant_id) as unit:
        with pytest.raises(Conflict) as caught:
            await unit.runs.add(a_run(conversation), owner="me", lease_seconds=30)
        assert await unit.runs.active(conversation.id) == first, "the transaction must stay usable"
    assert caught.value.problem_code == "conversation_busy"
    assert str(first.id) in caught.value.detail


async def test_of_many_starts_at_once_one_wins(database: Database, conversation: Conversation) -> None:
    results = await asyncio.gather(*(added(database, a_run(conversation)) for _ in range(12)), return_exceptions=True)
    won = [result for result in results if isinstance(result, Run)]
    lost = [result for result in results if isinstance(result, Conflict)]
    assert (len(won), len(lost)) == (1, 11)
    assert all(str(won[0].id) in conflict.detail for conflict in lost)


async def test_no_run_without_its_conversation_and_employee(database: Database, conversation: Conversation) -> None:
    for field in ("conversation_id", "employee_id"):
        with pytest.raises(NotFound):
            await added(database, a_run(conversation, **{field: new_id()}))


async def test_a_run_ends_once_and_frees_its_conversation(
    database: Database, conversation: Conversation, run: Run
) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert await unit.runs.finish(run.id, 1, **END, at=LATER)
        assert not await unit.runs.finish(run.id, 1, **{**END, "status": RunStatus.FAILED}, at=LATER)
        assert await unit.runs.active(conversation.id) is None
        assert await unit.runs.get(run.id) == msgspec.structs.replace(run, **END, finished_at=LATER)
        await unit.runs.add(a_run(conversation), owner="me", lease_seconds=30)


async def test_an_old_attempt_changes_nothing(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert not await unit.runs.finish(run.id, 2, **END, at=LATER)
        assert not await unit.runs.change_status(run.id, 0, status=RunStatus.WAITING)
        assert await unit.runs.get(run.id) == run


async def test_a_run_moves_between_active_states(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert await unit.runs.change_status(run.id, 1, status=RunStatus.WAITING)
        assert (await unit.runs.get(run.id)).status is RunStatus.WAITING


async def test_the_list_is_oldest_first_and_goes_on(database: Database, conversation: Conversation) -> None:
    runs = [a_run(conversation, status=RunStatus.COMPLETED) for _ in range(4)]
    for run in runs:
        await added(database, run)
    async with database.unit(conversation.tenant_id, read_only=True) as unit:
        assert await unit.runs.list(conversation.id, limit=3) == runs[:3]
        assert await unit.runs.list(conversation.id, limit=3, after=runs[2].id) == runs[3:]


async def test_leases_run_out_on_the_database_clock(database: Database, employee: Employee) -> None:
    lost, alive = await two_runs(database, employee)
    async with database.operator() as operator:
        assert await operator.active_runs_with_expired_lease(10) == [(lost.tenant_id, lost.id)]
        assert await operator.active_runs_with_expired_lease(0) == []
        assert await operator.renew_leases("me", {lost.id, alive.id}, 30) == {lost.id, alive.id}
        assert await operator.active_runs_with_expired_lease(10) == []
        assert await operator.renew_leases("somebody", {lost.id, alive.id}, 30) == frozenset()


async def test_only_an_expired_lease_can_be_claimed_and_only_once(database: Database, employee: Employee) -> None:
    lost, alive = await two_runs(database, employee)
    async with database.unit(employee.tenant_id) as unit:
        assert await unit.runs.claim(alive.id, 1, owner="you", lease_seconds=30) is None
        assert await unit.runs.claim(lost.id, 2, owner="you", lease_seconds=30) is None
        claimed = await unit.runs.claim(lost.id, 1, owner="you", lease_seconds=30)
        assert claimed == msgspec.structs.replace(lost, attempt=2)
        assert await unit.runs.claim(lost.id, 1, owner="you", lease_seconds=30) is None
        assert not await unit.runs.finish(lost.id, 1, **END, at=LATER), "the old owner must be fenced off"
        assert await unit.runs.finish(lost.id, 2, **END, at=LATER)
    async with database.operator() as operator:
        assert await operator.renew_leases("me", {lost.id, alive.id}, 30) == {alive.id}


async def test_a_finished_run_has_no_lease(database: Database, employee: Employee) -> None:
    lost, _ = await two_runs(database, employee)
    async with database.unit(employee.tenant_id) as unit:
        await unit.runs.finish(lost.id, 1, **END, at=LATER)
        assert await unit.runs.claim(lost.id, 1, owner="you", lease_seconds=30) is None
    async with database.operator(read_only=True) as operator:
        assert await operator.active_runs_with_expired_lease(10) == []


async def two_runs(database: Database, employee: Employee) -> tuple[Run, Run]:
    """One whose lease has run out and one whose lease holds."""
    conversations = [a_conversation(employee), a_conversation(employee)]
    async with database.unit(employee.tenant_id) as unit:
        for conversation in conversations:
            await unit.conversations.add(conversation)
    lost = await added(database, a_run(conversations[0]), lease_seconds=-5)
    return lost, await added(database, a_run(conversations[1]))
