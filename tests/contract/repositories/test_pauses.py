"""Runs that wait for a person, and go on."""

import asyncio
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.ids import new_id
from retinue.domain.messages import MessageStatus
from retinue.domain.runs import Run, RunStatus, WaitingFor
from tests.contract.repositories.builders import COST, LATER, NOON, TOOL_LOG, USAGE, a_message, an_answer
from tests.contract.repositories.said import utterances
from tests.contract.repositories.test_messages import FINAL
from tests.contract.repositories.test_runs import END

SO_FAR: dict[str, Any] = {
    "content": "Well, ",
    "reasoning": "hm",
    "tool_log": TOOL_LOG,
    "usage": USAGE,
    "cost": COST,
    "metadata": {"scripted": True},
}


@pytest.fixture
async def waiting(database: Database, run: Run) -> Run:
    async with database.unit(run.tenant_id) as unit:
        assert await unit.runs.pause(run.id, 1, waiting_for=WaitingFor.PASSWORD)
        return await unit.runs.get(run.id)


async def test_a_paused_run_belongs_to_no_process(database: Database, run: Run, waiting: Run) -> None:
    assert waiting == msgspec.structs.replace(run, status=RunStatus.WAITING, waiting_for=WaitingFor.PASSWORD)
    async with database.unit(run.tenant_id) as unit:
        assert await unit.runs.active(run.conversation_id) == waiting
        assert await unit.runs.claim(run.id, 1, owner="you", lease_seconds=30) is None
        assert not await unit.runs.release(run.id, 1)
        owned = await unit._executor.rows(sa.select(t.Run.owner, t.Run.lease_expires_at))
        assert [tuple(row) for row in owned] == [(None, None)]
    async with database.operator() as operator:
        assert await operator.renew_leases("me", {run.id}, 30) == frozenset()
        assert await operator.active_runs_with_expired_lease(9) == []


async def test_only_the_owner_of_a_running_run_pauses_it(database: Database, run: Run, waiting: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        for run_id, attempt in ((run.id, 1), (run.id, 2), (new_id(), 1)):
            assert not await unit.runs.pause(run_id, attempt, waiting_for=WaitingFor.APPROVAL)
        assert await unit.runs.get(run.id) == waiting


async def test_a_run_that_is_to_be_cancelled_does_not_pause(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        asked = await unit.runs.request_cancel(run.id)
        assert not await unit.runs.pause(run.id, 1, waiting_for=WaitingFor.APPROVAL)
        assert await unit.runs.get(run.id) == asked


async def test_nobody_would_look_at_a_wish_to_cancel_a_run_that_waits(
    database: Database, run: Run, waiting: Run
) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert await unit.runs.request_cancel(run.id) is None
        assert await unit.runs.get(run.id) == waiting


async def test_a_woken_run_is_for_whoever_claims_it(database: Database, run: Run, waiting: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert not await unit.runs.wake(run.id, 2)
        assert await unit.runs.wake(run.id, 1)
        assert not await unit.runs.wake(run.id, 1)
        assert await unit.runs.get(run.id) == msgspec.structs.replace(run, pauses=1)
    async with database.operator() as operator:
        assert await operator.active_runs_with_expired_lease(9) == [(run.tenant_id, run.id)]
        assert await operator.renew_leases("me", {run.id}, 30) == frozenset()
    async with database.unit(run.tenant_id) as unit:
        claimed = await unit.runs.claim(run.id, 1, owner="you", lease_seconds=30)
    assert claimed == msgspec.structs.replace(run, attempt=2, pauses=1)


async def test_a_run_goes_on_where_the_password_came(database: Database, run: Run, waiting: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert await unit.runs.resume(run.id, 2, owner="you", lease_seconds=30) is None
        resumed = await unit.runs.resume(run.id, 1, owner="you", lease_seconds=30)
        assert resumed == msgspec.structs.replace(run, attempt=2, pauses=1)
        assert await unit.runs.resume(run.id, 1, owner="you", lease_seconds=30) is None
        assert await unit.runs.resume(run.id, 2, owner="you", lease_seconds=30) is None, "it does not wait"
    async with database.operator() as operator:
        assert await operator.active_runs_with_expired_lease(9) == []
        assert await operator.renew_leases("you", {run.id}, 30) == {run.id}


async def test_of_many_that_resume_a_run_one_does(database: Database, run: Run, waiting: Run) -> None:
    async def resume(number: int) -> Run | None:
        async with database.unit(run.tenant_id) as unit:
            return await unit.runs.resume(run.id, 1, owner=f"o{number}", lease_seconds=30)

    async def wake() -> bool:
        async with database.unit(run.tenant_id) as unit:
            return await unit.runs.wake(run.id, 1)

    results = await asyncio.gather(*(resume(number) for number in range(10)), *(wake() for _ in range(10)))
    assert len([result for result in results if result]) == 1
    async with database.unit(run.tenant_id, read_only=True) as unit:
        assert (await unit.runs.get(run.id)).pauses == 1


async def test_every_pause_is_counted(database: Database, run: Run, waiting: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        await unit.runs.wake(run.id, 1)
        await unit.runs.pause(run.id, 1, waiting_for=WaitingFor.EFFECT_UNKNOWN)
        resumed = await unit.runs.resume(run.id, 1, owner="me", lease_seconds=30)
    assert resumed is not None
    assert (resumed.pauses, resumed.waiting_for) == (2, None)


async def test_a_waiting_run_takes_messages(database: Database, run: Run, waiting: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert await unit.runs.append(run.id)
        assert (await unit.runs.get(run.id)).appended == 1
        await unit.runs.wake(run.id, 1)
        await unit.runs.request_cancel(run.id)
        assert not await unit.runs.append(run.id)


async def test_a_run_that_has_ended_waits_for_nobody(database: Database, run: Run, waiting: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert await unit.runs.finish(run.id, 1, **{**END, "status": RunStatus.EXPIRED}, at=LATER)
        assert (await unit.runs.get(run.id)).waiting_for is None
        assert not await unit.runs.wake(run.id, 1)
        assert await unit.runs.resume(run.id, 1, owner="me", lease_seconds=30) is None
        assert not await unit.runs.append(run.id)


async def test_the_answer_so_far_is_stored_and_ended_later(database: Database, conversation: Conversation) -> None:
    answer = an_answer(conversation, 1)
    async with database.unit(conversation.tenant_id) as unit:
        await unit.messages.add(answer)
        assert await unit.messages.pause(answer.id, **SO_FAR, at=NOON)
        paused = msgspec.structs.replace(answer, **SO_FAR, status=MessageStatus.WAITING, updated_at=NOON)
        assert await unit.messages.get(answer.id) == paused
        assert not await unit.messages.pause(answer.id, **{**SO_FAR, "content": "late"}, at=LATER)
        assert await unit.messages.finish(answer.id, **{**FINAL, "status": MessageStatus.EXPIRED}, at=LATER)
        assert not await unit.messages.pause(answer.id, **SO_FAR, at=LATER)
        assert not await unit.messages.finish(answer.id, **FINAL, at=LATER)
        assert (await unit.messages.get(answer.id)).status is MessageStatus.EXPIRED


async def test_answers_that_came_to_nothing_are_no_history(database: Database, conversation: Conversation) -> None:
    kept = a_message(conversation, 1)
    part = msgspec.structs.replace(an_answer(conversation, 4), content="Well, ", status=MessageStatus.EXPIRED)
    async with database.unit(conversation.tenant_id) as unit:
        await unit.messages.add(
            kept,
            msgspec.structs.replace(an_answer(conversation, 2), status=MessageStatus.WAITING),
            msgspec.structs.replace(an_answer(conversation, 3), status=MessageStatus.EXPIRED),
            part,
        )
        assert await unit.messages.history(conversation.id, before_position=9, max_messages=9) == utterances(kept, part)
