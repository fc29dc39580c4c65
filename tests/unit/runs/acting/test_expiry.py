"""Nobody decides in time."""

import asyncio
import time

import pytest

from retinue.domain import events as e
from retinue.domain.approvals import ApprovalStatus, Decision
from retinue.domain.errors import Conflict
from retinue.domain.ids import now
from retinue.domain.messages import MessageStatus
from retinue.domain.policy import RunLimits
from retinue.domain.runs import RunStatus
from retinue.domain.signals import SignalKind
from retinue.runs.unrun import end_waiting
from tests.unit.runs.acting.books import ended, paused, read_books
from tests.unit.runs.acting.story import (
    conversation_of,
    decide,
    decide_next,
    goes_on,
    let_time_pass,
    office_with,
    pending,
    started,
)
from tests.unit.runs.acting.tools import a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, says, until
from tests.unit.runs.logs import kinds, whole
from tests.unit.runs.process import Process


async def test_the_sweeper_tells_it_and_ends_the_run(world: World) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send", text="I send. "), tools=[tool])
    run, before = await started(office)
    assert await office.expiry.sweep() == 0, "there is time left"
    await let_time_pass(world)
    assert await office.expiry.sweep() == 1
    books = await ended(world, run)
    assert (books.run.status, books.run.finish_reason, books.run.error_code) == (
        RunStatus.EXPIRED,
        "expired",
        "approval_expired",
    )
    assert (books.answer.status, books.answer.content) == (MessageStatus.EXPIRED, "I send. ")
    assert (books.statuses, books.errors, tool.times) == (["expired"], ["expired"], 0)
    assert books.approvals[0].status is ApprovalStatus.EXPIRED
    assert kinds(books.events)[len(before) :] == ["approval.expired", "tool_call.finished", "run.expired"]
    told = books.events[-3].event
    assert isinstance(told, e.ApprovalExpired)
    assert (told.approval_id, told.tool) == (books.approvals[0].id, "send")
    assert "send" in told.message
    assert books.actions == ["approval.requested", "approval.expired"]
    assert books.audit[-1].actor == "system"
    assert await office.expiry.sweep() == 0
    assert await pending(office) == []


@pytest.mark.parametrize("decision", Decision)
async def test_a_late_decision_ends_it_too(world: World, decision: Decision) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), tools=[tool])
    run, _ = await started(office)
    (approval_id,) = await pending(office)
    await let_time_pass(world)
    for _ in range(2):
        with pytest.raises(Conflict) as late:
            await decide(office, approval_id, decision)
        assert late.value.problem_code == "approval_expired"
    books = await ended(world, run)
    assert (books.run.status, tool.times, books.approvals[0].decision) == (RunStatus.EXPIRED, 0, None)
    assert kinds(books.events).count("run.expired") == 1
    with pytest.raises(Conflict) as gone:
        await office.approvals.continue_run(run.tenant_id, run.id, approval_id)
    assert gone.value.problem_code == "approval_expired"


async def test_sweepers_and_late_deciders_at_the_same_time_end_it_once(world: World) -> None:
    office = await office_with(world, wants("send"), tools=[a_write("send")])
    other = Process(world, name="other", tools=office.tools)
    run, _ = await started(office)
    (approval_id,) = await pending(office)
    await let_time_pass(world)
    done = await asyncio.gather(
        office.expiry.sweep(), other.expiry.sweep(), decide(office, approval_id), return_exceptions=True
    )
    assert isinstance(done[2], Conflict)
    books = await ended(world, run)
    assert books.actions == ["approval.requested", "approval.expired"]


async def test_a_decision_in_time_beats_the_sweeper(world: World) -> None:
    office = await office_with(world, wants("send"), says("Sent."), tools=[a_write("send")])
    run, _ = await started(office)
    full = Process(world, name="full", tools=office.tools, max_active=0)
    await decide_next(full)
    await let_time_pass(world)
    assert await office.expiry.sweep() == 0
    assert not await office.expiry.expire(run.tenant_id, run.id)
    await office.look()
    await goes_on(office, run)
    assert (await ended(world, run)).statuses == ["succeeded"]


async def test_the_time_is_the_databases(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """This process's clock is wrong by years."""
    behind = now().replace(year=2001)
    monkeypatch.setattr("retinue.runs.calls.permissions.now", lambda: behind)
    monkeypatch.setattr(time, "time", lambda: 0.0)
    office = await office_with(world, wants("send"), says("Sent."), tools=[a_write("send")])
    run, _ = await started(office)
    (approval,) = (await paused(world, run)).approvals
    assert approval.requested_at.year > 2001
    assert (approval.expires_at - approval.requested_at).total_seconds() == 1800
    assert await office.expiry.sweep() == 0
    await decide_next(office)
    await goes_on(office, run)
    await ended(world, run)


async def test_how_long_is_a_setting(world: World) -> None:
    limits = RunLimits(max_output_tokens=1000, context_tokens=10_000, approval_seconds=0)
    office = await office_with(world, wants("send"), tools=[a_write("send")], limits=limits)
    run, _ = await started(office)
    assert await office.expiry.sweep() == 1
    assert (await ended(world, run)).run.status is RunStatus.EXPIRED


async def test_who_follows_is_told_and_the_queue_goes_on(world: World) -> None:
    office = await office_with(world, wants("send"), says("Hello."), tools=[a_write("send")])
    run, _ = await started(office)
    other = await office.start(await conversation_of(world, run), "Hello?", on_busy="enqueue")
    await let_time_pass(world)
    sweeper = Process(world, name="sweeper", tools=office.tools, max_active=0, coordination=office.coordination)
    office.heard.clear()
    await sweeper.expiry.sweep()
    await until(lambda: {SignalKind.CONVERSATION, SignalKind.ORPHAN} <= set(office.heard))
    events = await office.follow(run)
    assert isinstance(events[-1].event, e.RunExpired)
    await office.look()
    whole(await goes_on(office, other))
    await ended(world, run)


async def test_of_several_that_ran_out_each_is_told(world: World) -> None:
    office = await office_with(world, wants("a", "b"), tools=[a_write("a"), a_write("b")])
    run, _ = await started(office)
    await let_time_pass(world)
    await office.expiry.sweep()
    books = await ended(world, run)
    assert kinds(books.events)[-5:] == [*["approval.expired"] * 2, *["tool_call.finished"] * 2, "run.expired"]
    assert books.statuses == ["expired", "expired"]


async def test_a_run_that_works_on_another_call_is_left_alone(world: World) -> None:
    """The second approval runs out while the first call is made: it ends the run only when the run gets there."""
    gate = Gate()
    tools = [a_write("a", gate), a_write("b")]
    office = await office_with(world, wants("a", "b"), tools=tools)
    run, _ = await started(office)
    first, second = await pending(office)
    await decide(office, first)
    await gate.wait_until_reached()
    await let_time_pass(world)
    with pytest.raises(Conflict) as late:
        await decide(office, second)
    assert late.value.problem_code == "approval_expired"
    assert (await read_books(world, run)).run.status is RunStatus.RUNNING
    gate.opened.set()
    await goes_on(office, run)
    assert (await paused(world, run)).statuses == ["succeeded", "proposed"]
    assert await office.expiry.sweep() == 1
    books = await ended(world, run)
    assert (books.statuses, tools[1].times) == (["succeeded", "expired"], 0)


async def test_one_that_cannot_be_ended_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    office = await office_with(world, wants("send"), wants("send"), tools=[a_write("send")])
    runs = [(await started(office))[0] for _ in range(2)]
    await let_time_pass(world)
    end = end_waiting
    broken = min(runs, key=lambda run: run.id).id

    async def fails(unit: object, run: object, *args: object, **more: object) -> bool:
        if run.id == broken:  # type: ignore[attr-defined]
            raise ZeroDivisionError
        return await end(unit, run, *args, **more)  # type: ignore[arg-type]

    monkeypatch.setattr("retinue.runs.waiting.expiry.end_waiting", fails)
    assert await office.expiry.sweep() == 1
    monkeypatch.undo()
    assert await office.expiry.sweep() == 1
    for run in runs:
        assert (await ended(world, run)).run.status is RunStatus.EXPIRED


async def test_the_time_of_a_password_is_another_one(world: World) -> None:
    office = await office_with(world, wants("sudo"), tools=[a_write("sudo", needs_password=True)])
    run, _ = await started(office)
    await decide_next(office)
    await goes_on(office, run)
    assert await office.expiry.sweep() == 0
    await let_time_pass(world)
    assert await office.expiry.sweep() == 1
    books = await ended(world, run)
    assert (books.run.error_code, books.actions[-1]) == ("password_expired", "password.expired")
    assert kinds(books.events)[-2:] == ["tool_call.finished", "run.expired"]
    assert books.approvals[0].status is ApprovalStatus.GRANTED
