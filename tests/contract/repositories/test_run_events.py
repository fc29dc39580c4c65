"""The event log."""

from datetime import UTC, datetime
from typing import Any

import pytest

from retinue.db.session import Database
from retinue.domain import events as e
from retinue.domain.conversations import Conversation
from retinue.domain.errors import InternalError
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position, ms_of, new_id
from retinue.domain.runs import Run
from tests.contract.repositories.builders import COST, STATS, TOOL_LOG, USAGE, a_run, deltas


@pytest.fixture
async def run(database: Database, conversation: Conversation) -> Run:
    run = a_run(conversation)
    async with database.unit(run.tenant_id) as unit:
        await unit.runs.add(run, owner="me", lease_seconds=-5)
    return run


async def test_every_kind_of_event_comes_back_as_it_went_in(database: Database, run: Run) -> None:
    end: dict[str, Any] = {
        "conversation_id": run.conversation_id,
        "message_id": run.message_id,
        "finish_reason": "stop",
        "usage": USAGE,
        "cost": COST,
        "generation_stats": STATS,
        "tool_log": TOOL_LOG,
        "event_count": 3,
        "text_sha256": "00",
        "metadata": {"scripted": True},
    }
    values: list[e.RunEvent] = [
        e.RunStarted(
            conversation_id=run.conversation_id,
            employee_id=run.employee_id,
            user_message_id=run.user_message_id,
            message_id=run.message_id,
            attempt=1,
        ),
        e.AttemptStarted(attempt=2, discard_after="x"),
        e.StepStarted(step=1),
        e.MessageAppended(user_message_id=run.user_message_id),
        e.StatusChanged(stage="answering"),
        e.ReasoningDelta(delta="hm"),
        e.TextDelta(delta='ü"\n\x00'),
        e.ToolCallStarted(tool_call_id="c", tool="t"),
        e.ToolCallDelta(tool_call_id="c", delta="{"),
        e.ToolCallRequested(tool_call_id="c", tool="t", args={"a": [1]}),
        e.ToolCallFinished(tool_call_id="c", tool="t", args={}, result=None, error="no", duration_ms=1),
        e.UsageRecorded(step=1, provider="p", model="m", usage=USAGE, cost=COST),
        e.RunCompleted(**end),
        e.RunFailed(**end, code="c", title="t", status=500, detail="d", retryable=True),
        e.RunCancelled(**end),
    ]
    at = datetime(2026, 3, 1, 12, 0, 0, 999000, tzinfo=UTC)
    events = [RecordedEvent(run.id, 1, seq, ms_of(at), value) for seq, value in enumerate(values, 1)]
    async with database.unit(run.tenant_id) as unit:
        assert await unit.run_events.add(run.id, 1, events)
        assert await unit.run_events.read(run.id) == events


async def test_reading_goes_on_after_any_position(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        for first, count in ((1, 3), (4, 1), (5, 4)):
            await unit.run_events.add(run.id, 1, deltas(run.id, 1, first, count))
        everything = deltas(run.id, 1, 1, 8)
        for seq in range(9):
            assert await unit.run_events.read(run.id, after=Position(1, seq)) == everything[seq:]
        assert await unit.run_events.read(run.id, limit_rows=2) == everything[:4]
        assert await unit.run_events.last_position(run.id) == (1, 8)


async def test_attempts_follow_each_other(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        await unit.run_events.add(run.id, 1, deltas(run.id, 1, 1, 5))
        assert await unit.runs.claim(run.id, 1, owner="you", lease_seconds=30) is not None
        await unit.run_events.add(run.id, 2, deltas(run.id, 2, 1, 2))
        read = await unit.run_events.read(run.id, after=Position(1, 3))
        assert [event.position for event in read] == [(1, 4), (1, 5), (2, 1), (2, 2)]
        assert await unit.run_events.last_position(run.id) == (2, 2)


async def test_an_old_attempt_writes_nothing(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        await unit.runs.claim(run.id, 1, owner="you", lease_seconds=30)
        assert not await unit.run_events.add(run.id, 1, deltas(run.id, 1, 1, 1))
        assert await unit.run_events.read(run.id) == []


async def test_storing_a_range_again_is_harmless(database: Database, run: Run) -> None:
    stored = 0
    for count in (2, 4, 3):
        async with database.unit(run.tenant_id) as unit:
            assert await unit.run_events.add(run.id, 1, deltas(run.id, 1, 1, count))
            assert await unit.run_events.read(run.id) == deltas(run.id, 1, 1, max(count, stored))
            stored = max(count, stored)
    async with database.unit(run.tenant_id) as unit:
        await unit.run_events.add(run.id, 1, deltas(run.id, 1, 3, 4))  # overlaps what is there
        assert await unit.run_events.read(run.id) == deltas(run.id, 1, 1, 6)


async def test_events_are_counted_over_all_attempts(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert await unit.run_events.count(run.id) == 0
        await unit.run_events.add(run.id, 1, deltas(run.id, 1, 1, 4))
        await unit.run_events.add(run.id, 1, deltas(run.id, 1, 3, 4))  # overlaps what is there
        assert await unit.run_events.count(run.id) == 6
        await unit.runs.claim(run.id, 1, owner="you", lease_seconds=30)
        await unit.run_events.add(run.id, 2, deltas(run.id, 2, 1, 2))
        assert await unit.run_events.count(run.id) == 8 == len(await unit.run_events.read(run.id))


async def test_a_range_with_a_hole_is_refused(database: Database, run: Run) -> None:
    good = deltas(run.id, 1, 1, 3)
    async with database.unit(run.tenant_id) as unit:
        for bad in ([good[0], good[2]], deltas(new_id(), 1, 1, 1), deltas(run.id, 2, 1, 1)):
            with pytest.raises(InternalError):
                await unit.run_events.add(run.id, 1, bad)


async def test_an_empty_log_starts_at_the_start(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        assert await unit.run_events.add(run.id, 1, [])
        assert await unit.run_events.read(run.id) == []
        assert await unit.run_events.last_position(run.id) == START


async def test_a_run_that_is_gone_takes_no_events(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        await unit.conversations.delete(run.conversation_id)
        assert not await unit.run_events.add(run.id, 1, deltas(run.id, 1, 1, 1))
