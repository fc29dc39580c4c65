"""The journal of effects."""

from datetime import datetime
from typing import Any

import msgspec
import pytest
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.session import Database
from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from retinue.domain.runs import Run
from retinue.domain.tools import OPEN_CALLS, CallStatus, Effect, JournalEntry, Risk
from tests.contract.repositories.builders import LATER, NOON, a_call

OUTCOME: dict[str, Any] = {"result": {"ok": [1, None]}, "error": "x", "detail": "Why.", "duration_ms": 12}


async def add(database: Database, run: Run, *calls: JournalEntry) -> None:
    async with database.unit(run.tenant_id) as unit:
        await unit.tool_calls.add(run.id, calls)


async def test_calls_come_back_as_they_went_in_and_in_order(database: Database, run: Run) -> None:
    full = a_call(
        run,
        1,
        **OUTCOME,
        effect=Effect.IDEMPOTENT,
        risk=Risk.HIGH,
        status=CallStatus.OUTCOME_UNKNOWN,
        approval_id=new_id(),
        resolved_by="operator",
        started_at=NOON,
        finished_at=LATER,
    )
    broken, plain = a_call(run, 2, args="{broken", version=""), a_call(run, 3, args=None, result=False)
    await add(database, run, plain)
    await add(database, run, broken, full)
    await add(database, run)
    async with database.unit(run.tenant_id, read_only=True) as unit:
        assert await unit.tool_calls.list(run.id) == [full, broken, plain]
        assert await unit.tool_calls.count(run.id) == 3
        assert await unit.tool_calls.count(new_id()) == 0


@pytest.mark.parametrize("result", [0, 42, -1, 1.5, 1.0, True, 2**40, 2**64 + 1, 1e300, "7", "null", "", [7], {"a": 7}])
async def test_a_result_may_be_any_value(database: Database, run: Run, result: Any) -> None:
    await add(database, run, a_call(run, 1, result=result))
    async with database.unit(run.tenant_id, read_only=True) as unit:
        found = (await unit.tool_calls.list(run.id))[0].result
    assert (found, type(found)) == (result, type(result))


async def test_no_call_without_its_run(database: Database, run: Run) -> None:
    with pytest.raises(NotFound):
        async with database.unit(run.tenant_id) as unit:
            await unit.tool_calls.add(new_id(), [a_call(run, 1)])


async def test_a_call_goes_from_the_wish_to_the_outcome(database: Database, run: Run) -> None:
    await add(database, run, a_call(run, 1), a_call(run, 2))
    approval = new_id()
    async with database.unit(run.tenant_id) as unit:
        change = unit.tool_calls.change
        before = await unit.clock()
        assert await change(run.id, 1, to=CallStatus.APPROVED, from_=(CallStatus.PROPOSED,), approval_id=approval)
        assert (await unit.tool_calls.list(run.id))[0] == a_call(
            run, 1, status=CallStatus.APPROVED, approval_id=approval
        )
        assert await change(run.id, 1, to=CallStatus.EXECUTING, from_=OPEN_CALLS)
        executing = (await unit.tool_calls.list(run.id))[0]
        assert_between(before, executing.started_at, await unit.clock())
        assert executing == a_call(
            run, 1, status=CallStatus.EXECUTING, approval_id=approval, started_at=executing.started_at
        )
        assert await change(run.id, 1, to=CallStatus.SUCCEEDED, from_=(CallStatus.EXECUTING,), **OUTCOME)
        done, other = await unit.tool_calls.list(run.id)
        assert_between(executing.started_at, done.finished_at, await unit.clock())
    expected = msgspec.structs.replace(executing, status=CallStatus.SUCCEEDED, finished_at=done.finished_at, **OUTCOME)
    assert done == expected
    assert other == a_call(run, 2), "nobody asked for the other one"


async def test_a_call_changes_from_the_named_statuses_only(database: Database, run: Run) -> None:
    done = a_call(run, 1, status=CallStatus.SUCCEEDED, finished_at=NOON, **OUTCOME)
    await add(database, run, done)
    async with database.unit(run.tenant_id) as unit:
        for wrong in ((run.id, 1), (run.id, 2), (new_id(), 1)):
            assert not await unit.tool_calls.change(*wrong, to=CallStatus.EXECUTING, from_=OPEN_CALLS)
        assert await unit.tool_calls.list(run.id) == [done]


async def test_a_person_resolves_a_call_and_a_retry_begins_anew(database: Database, run: Run) -> None:
    unknown = a_call(run, 1, status=CallStatus.OUTCOME_UNKNOWN, approval_id=new_id(), finished_at=NOON, **OUTCOME)
    await add(database, run, unknown)
    from_ = (CallStatus.OUTCOME_UNKNOWN,)
    async with database.unit(run.tenant_id) as unit:
        assert await unit.tool_calls.change(run.id, 1, to=CallStatus.APPROVED, from_=from_, resolved_by="operator")
        again = (await unit.tool_calls.list(run.id))[0]
        assert again == a_call(
            run, 1, status=CallStatus.APPROVED, approval_id=unknown.approval_id, resolved_by="operator"
        )
        await unit.tool_calls.change(run.id, 1, to=CallStatus.EXECUTING, from_=OPEN_CALLS)
        await unit.tool_calls.change(run.id, 1, to=CallStatus.SUCCEEDED, from_=OPEN_CALLS)
        assert (await unit.tool_calls.list(run.id))[0].resolved_by == "operator"


async def test_the_end_of_a_run_closes_what_is_open(database: Database, run: Run) -> None:
    reading, writing = {"effect": Effect.READ}, {"effect": Effect.WRITE}
    calls = [
        a_call(run, 1, **reading, status=CallStatus.PROPOSED),
        a_call(run, 2, **writing, status=CallStatus.APPROVED, detail="old"),
        a_call(run, 3, **reading, status=CallStatus.EXECUTING, detail="old", started_at=NOON),
        a_call(run, 4, **writing, status=CallStatus.EXECUTING, started_at=NOON),
        a_call(run, 5, effect=Effect.IDEMPOTENT, status=CallStatus.EXECUTING, started_at=NOON),
        a_call(run, 6, status=CallStatus.DENIED, error="denied", finished_at=NOON),
    ]
    await add(database, run, *calls)
    async with database.unit(run.tenant_id) as unit:
        before = await unit.clock()
        await unit.tool_calls.close_open(run.id, CallStatus.EXPIRED, "approval_expired", "Late.")
        closed = await unit.tool_calls.list(run.id)
        for call in closed[:5]:
            assert_between(before, call.finished_at, await unit.clock())
    assert [(call.status, call.error, call.detail) for call in closed] == [
        (CallStatus.EXPIRED, "approval_expired", "Late."),
        (CallStatus.EXPIRED, "approval_expired", "Late."),
        (CallStatus.FAILED, "cancelled", "old"),
        (CallStatus.OUTCOME_UNKNOWN, "outcome_unknown", None),
        (CallStatus.OUTCOME_UNKNOWN, "outcome_unknown", None),
        (CallStatus.DENIED, "denied", None),
    ]
    assert closed[5] == calls[5]


async def test_damaged_arguments_come_back_as_they_are(database: Database, run: Run) -> None:
    await add(database, run, a_call(run, 1))
    async with database.unit(run.tenant_id) as unit:
        await unit._executor.change(sa.update(t.ToolCall).values(arguments='{"order_id": 1'))
        assert (await unit.tool_calls.list(run.id))[0].args == '{"order_id": 1'


def assert_between(before: datetime | None, moment: datetime | None, after: datetime) -> None:
    assert before is not None
    assert moment is not None
    assert before <= moment <= after
