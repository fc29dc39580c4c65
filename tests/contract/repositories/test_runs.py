"""Runs: how they are stored, found and ended."""

import asyncio
from typing import Any

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.errors import Conflict, NotFound
from retinue.domain.ids import new_id
from retinue.domain.runs import STARTED_STATUSES, CancelReceipt, Run, RunOptions, RunStatus, WaitingFor
from retinue.domain.usage import Provenance
from tests.contract.repositories.builders import COST, LATER, NOON, STATS, USAGE, a_run
from tests.contract.repositories.conftest import Add

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
RECEIPT = CancelReceipt(
    requested_at=NOON,
    socket_closed_at=LATER,
    tokens_received=7,
    charged=COST,
    provenance=Provenance.ESTIMATED,
)


async def test_a_run_comes_back_as_it_went_in(database: Database, conversation: Conversation) -> None:
    run = a_run(
        conversation,
        **{**END, "status": RunStatus.WAITING, "error_code": "x"},
        attempt=3,
        position=17,
        is_urgent=True,
        ordinal=4,
        options=RunOptions(reasoning="low"),
        appended=2,
        cancel_requested_at=NOON,
        receipt=RECEIPT,
        waiting_for=WaitingFor.PASSWORD,
        pauses=3,
        started_at=NOON,
        finished_at=LATER,
        pruned_at=LATER,
    )
    async with database.unit(run.tenant_id) as unit:
        await unit.runs.add(run, owner="me", lease_seconds=30)
        assert await unit.runs.get(run.id) == run
        assert await unit.runs.active(run.conversation_id) == run
        with pytest.raises(NotFound):
            await unit.runs.get(new_id())


async def test_what_is_unknown_stays_null(add_run: Add, conversation: Conversation) -> None:
    run = a_run(conversation, status=RunStatus.QUEUED)
    assert await add_run(run) == run
    assert (run.ordinal, run.receipt, run.options, run.started_at) == (None, None, RunOptions(), None)


@pytest.mark.parametrize("status", STARTED_STATUSES)
async def test_a_conversation_has_one_started_run(
    database: Database, add_run: Add, conversation: Conversation, status: RunStatus
) -> None:
    first = await add_run(a_run(conversation, status=status))
    async with database.unit(conversation.tenant_id) as unit:
        with pytest.raises(Conflict) as caught:
            await unit.runs.add(a_run(conversation), owner="me", lease_seconds=30)
        assert await unit.runs.active(conversation.id) == first, "the transaction must stay usable"
    assert caught.value.problem_code == "conversation_busy"
    assert str(first.id) in caught.value.detail


async def test_of_many_starts_at_once_one_wins(add_run: Add, conversation: Conversation) -> None:
    results = await asyncio.gather(*(add_run(a_run(conversation)) for _ in range(12)), return_exceptions=True)
    won = [result for result in results if isinstance(result, Run)]
    lost = [result for result in results if isinstance(result, Conflict)]
    assert (len(won), len(lost)) == (1, 11)
    assert all(str(won[0].id) in conflict.detail for conflict in lost)


async def test_no_run_without_its_conversation_and_employee(add_run: Add, conversation: Conversation) -> None:
    for field in ("conversation_id", "employee_id"):
        with pytest.raises(NotFound):
            await add_run(a_run(conversation, **{field: new_id()}))


async def test_a_run_ends_once_and_frees_its_conversation(
    database: Database, conversation: Conversation, run: Run
) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert await unit.runs.finish(run.id, 1, **END, receipt=RECEIPT, at=LATER)
        assert not await unit.runs.finish(run.id, 1, **{**END, "status": RunStatus.FAILED}, at=LATER)
        assert await unit.runs.active(conversation.id) is None
        ended = msgspec.structs.replace(run, **END, receipt=RECEIPT, finished_at=LATER)
        assert await unit.runs.get(run.id) == ended
        await unit.runs.add(a_run(conversation), owner="me", lease_seconds=30)


async def test_an_old_attempt_changes_nothing(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert not await unit.runs.finish(run.id, 2, **END, at=LATER)
        assert not await unit.runs.pause(run.id, 0, waiting_for=WaitingFor.APPROVAL)
        assert not await unit.runs.release(run.id, 2)
        assert await unit.runs.get(run.id) == run


async def test_the_list_is_oldest_first_filtered_and_goes_on(
    database: Database, add_run: Add, conversation: Conversation
) -> None:
    kinds = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.COMPLETED, RunStatus.QUEUED)
    runs = [await add_run(a_run(conversation, status=status)) for status in kinds]
    async with database.unit(conversation.tenant_id, read_only=True) as unit:
        assert await unit.runs.list(conversation.id, limit=3) == runs[:3]
        assert await unit.runs.list(conversation.id, limit=3, after=runs[2].id) == runs[3:]
        assert await unit.runs.list(conversation.id, limit=9, status=RunStatus.COMPLETED) == [runs[0], runs[2]]
        rest = await unit.runs.list(conversation.id, limit=9, after=runs[0].id, status=RunStatus.COMPLETED)
        assert rest == [runs[2]]


async def test_a_run_does_not_end_while_it_has_messages_that_it_does_not_know(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert await unit.runs.append(run.id)
        assert not await unit.runs.finish(run.id, 1, **END, appended=0, at=LATER)
        assert (await unit.runs.get(run.id)).appended == 1
        assert await unit.runs.finish(run.id, 1, **END, appended=1, at=LATER)
        assert not await unit.runs.append(run.id)


async def test_only_a_run_that_goes_on_takes_messages(
    database: Database, add_run: Add, conversation: Conversation, run: Run
) -> None:
    queued = await add_run(a_run(conversation, status=RunStatus.QUEUED))
    async with database.unit(run.tenant_id) as unit:
        assert not await unit.runs.append(queued.id)
        await unit.runs.request_cancel(run.id)
        assert not await unit.runs.append(run.id)
        assert not await unit.runs.append(new_id())


async def test_an_end_may_ask_for_the_status_before(
    database: Database, add_run: Add, conversation: Conversation
) -> None:
    queued = await add_run(a_run(conversation, status=RunStatus.QUEUED))
    async with database.unit(queued.tenant_id) as unit:
        started = await unit.runs.start(queued.id, owner="me", lease_seconds=30, ordinal=1)
        assert started is not None
        assert not await unit.runs.finish(queued.id, 1, **END, from_statuses=(RunStatus.QUEUED,), at=LATER)
        assert await unit.runs.get(queued.id) == started


async def test_the_first_request_to_cancel_counts(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        first = await unit.runs.request_cancel(run.id)
        assert first is not None
        assert first.cancel_requested_at is not None
        assert first == msgspec.structs.replace(run, cancel_requested_at=first.cancel_requested_at)
    async with database.unit(run.tenant_id) as unit:
        assert await unit.runs.request_cancel(run.id) == first
        await unit.runs.finish(run.id, 1, **END, at=LATER)
        assert await unit.runs.request_cancel(run.id) is None
        assert await unit.runs.request_cancel(new_id()) is None


async def test_only_an_ended_run_is_marked_as_pruned_and_only_once(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert not await unit.runs.mark_pruned(run.id)
        await unit.runs.finish(run.id, 1, **END, at=LATER)
        assert await unit.runs.mark_pruned(run.id)
        assert (await unit.runs.get(run.id)).pruned_at is not None
        assert not await unit.runs.mark_pruned(run.id)
