"""A call that a person has to allow: what is asked, what a decision leads to, and what it can not lead to."""

import asyncio
from datetime import timedelta

import pytest

from retinue.domain import events as e
from retinue.domain.approvals import ApprovalStatus, Decision, call_digest
from retinue.domain.errors import Conflict, NotFound
from retinue.domain.ids import Position, new_id
from retinue.domain.messages import MessageStatus
from retinue.domain.model_io import ToolTurn
from retinue.domain.runs import RunStatus, WaitingFor
from retinue.domain.tools import Risk
from tests.unit.runs.acting.books import ended, paused
from tests.unit.runs.acting.story import ADA, decide, decide_next, goes_on, office_with, pause_of, pending, started
from tests.unit.runs.acting.tools import a_read, a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import says
from tests.unit.runs.logs import kinds
from tests.unit.runs.process import Process

ONCE, ALWAYS, DENY = Decision.ALLOW_ONCE, Decision.ALLOW_FOR_CONVERSATION, Decision.DENY


async def test_a_write_is_asked_for_and_nothing_happens_before(world: World) -> None:
    tool = a_write("send", reason="It mails a customer.")
    office = await office_with(world, wants(("send", {"text": "x"}), text="I send. "), says("Sent."), tools=[tool])
    run, events = await started(office)
    pause = pause_of(events)
    books = await paused(world, run)
    (approval,) = books.approvals
    assert (tool.times, office.supervisor.active_count) == (0, 0)
    assert (pause.waiting_for, pause.approval_ids) == (WaitingFor.APPROVAL, (approval.id,))
    assert kinds(events)[-3:] == ["approval.requested", "status.changed", "run.paused"]
    asked = events[-3].event
    assert asked == e.ApprovalRequested(
        approval_id=approval.id,
        tool_call_id="send-1",
        tool="send",
        args={"text": "x"},
        risk_level=Risk.MEDIUM,
        reason="It mails a customer.",
        message="Allow send(text='x')?",
        expires_at=approval.expires_at,
    )
    assert (approval.status, approval.call_position, approval.decision) == (ApprovalStatus.PENDING, 1, None)
    assert approval.expires_at - approval.requested_at == timedelta(minutes=30)
    assert approval.digest == call_digest(
        tenant_id=run.tenant_id, run_id=run.id, call_id="send-1", tool="send", version="1", args={"text": "x"}
    )
    assert (books.statuses, books.answer.content) == (["proposed"], "I send. ")
    assert books.actions == ["approval.requested"]
    assert await office.follow(run) == events, "told again to whoever asks again"


async def test_what_was_allowed_is_done_and_the_model_is_not_asked_again(world: World) -> None:
    tool = a_write("send", {"id": 7})
    office = await office_with(world, wants(("send", {"text": "x"}), text="I send. "), says("Sent."), tools=[tool])
    run, before = await started(office)
    decided = await decide_next(office)
    assert (decided.status, decided.decision, decided.decided_by) == (ApprovalStatus.GRANTED, ONCE, ADA)
    events = await goes_on(office, run)
    books = await ended(world, run)
    assert (books.run.status, books.statuses, tool.times) == (RunStatus.COMPLETED, ["succeeded"], 1)
    assert len(office.provider.requests) == 2, "one to plan, one to answer"
    turn = office.provider.requests[1].turns[-1]
    assert isinstance(turn, ToolTurn)
    assert turn.results[0].content == '{"id":7}'
    (entry,) = books.journal
    assert (entry.approval_id, entry.started_at is not None) == (decided.id, True)
    assert books.answer.content == "I send. Sent."
    assert "run.paused" not in kinds(events), "it is over"
    after = events[len(before) - 1 :]
    assert kinds(after)[:4] == ["attempt.started", "approval.decided", "status.changed", "tool_call.finished"]
    boundary, told = after[0].event, after[1].event
    assert isinstance(boundary, e.AttemptStarted)
    assert boundary.discard_after == before[-1].id, "nothing is taken back"
    assert isinstance(told, e.ApprovalDecided)
    assert (told.approval_id, told.decision, told.decided_by) == (decided.id, ONCE, ADA)
    assert books.actions == ["approval.requested", "approval.decided", "tool.called", "tool.finished"]
    *_, called, finished = books.audit
    assert called.payload["approval_id"] == str(decided.id)
    assert {entry.payload["digest"] for entry in books.audit[:3]} == {decided.digest}, "what was shown, allowed, done"
    assert (finished.object_id, finished.payload["outcome"]) == (str(called.id), "succeeded")


async def test_a_denial_is_told_to_the_model(world: World) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), says("Then not."), tools=[tool])
    run, _ = await started(office)
    await decide_next(office, DENY, "Not on a Sunday.")
    await goes_on(office, run)
    books = await ended(world, run)
    assert (tool.times, books.statuses, books.errors) == (0, ["denied"], ["denied"])
    turn = office.provider.requests[1].turns[-1]
    assert isinstance(turn, ToolTurn)
    assert turn.results[0].is_error
    assert "Not on a Sunday." in turn.results[0].content
    assert (books.run.status, books.answer.content) == (RunStatus.COMPLETED, "Then not.")
    assert books.actions == ["approval.requested", "approval.decided"]


async def test_an_approval_serves_one_call(world: World) -> None:
    turns = [wants(("send", {"text": "x"}), first=number) for number in (1, 2)]
    office = await office_with(world, *turns, says("Sent."), tools=[a_write("send")])
    run, _ = await started(office)
    await decide_next(office)
    assert pause_of(await goes_on(office, run)).waiting_for is WaitingFor.APPROVAL
    assert len((await paused(world, run)).approvals) == 2


async def test_for_the_conversation_lasts_as_long_as_that(world: World) -> None:
    tool = a_write("send")
    turns = [wants("send", first=number) for number in (1, 2)]
    office = await office_with(world, *turns, says("Sent."), wants("send"), says("Too."), wants("send"), tools=[tool])
    run, _ = await started(office)
    await decide_next(office, ALWAYS)
    await goes_on(office, run)
    books = await ended(world, run)
    assert (tool.times, len(books.approvals)) == (2, 1)
    assert [entry.approval_id for entry in books.journal] == [books.approvals[0].id] * 2
    async with world.database.unit(run.tenant_id) as unit:
        conversation = await unit.conversations.get(run.conversation_id)
        (grant,) = await unit.grants.list(conversation.id)
    assert (grant.tool, grant.risk, grant.scope, grant.granted_by) == ("send", Risk.MEDIUM, "", ADA)
    again = await office.start(conversation)
    await office.follow(again)
    await office.idle()
    assert (tool.times, (await ended(world, again)).approvals) == (3, [])
    _, events = await started(office)
    assert pause_of(events).waiting_for is WaitingFor.APPROVAL, "another conversation is another matter"


async def test_the_highest_risk_is_never_for_the_conversation(world: World) -> None:
    office = await office_with(world, wants("send"), says("Sent."), tools=[a_write("send", risk=Risk.HIGH)])
    run, _ = await started(office)
    with pytest.raises(Conflict) as refused:
        await decide_next(office, ALWAYS)
    assert refused.value.problem_code == "approval_once_only"
    assert (await paused(world, run)).approvals[0].status is ApprovalStatus.PENDING
    await decide_next(office)
    await goes_on(office, run)
    assert (await ended(world, run)).statuses == ["succeeded"]


@pytest.mark.parametrize("first", Decision)
@pytest.mark.parametrize("second", Decision)
async def test_who_comes_second_is_told_what_was_decided(world: World, first: Decision, second: Decision) -> None:
    office = await office_with(world, wants("send"), says("Yes."), tools=[a_write("send")])
    run, _ = await started(office)
    (approval_id,) = await pending(office)
    await decide(office, approval_id, first)
    with pytest.raises(Conflict, match=first.value) as late:
        await decide(office, approval_id, second)
    assert late.value.problem_code == "approval_decided"
    await goes_on(office, run)
    assert (await ended(world, run)).approvals[0].decision is first


async def test_of_many_at_the_same_time_one_decides(world: World) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), says("Yes."), tools=[tool])
    run, _ = await started(office)
    (approval_id,) = await pending(office)
    said = await asyncio.gather(*(decide(office, approval_id) for _ in range(20)), return_exceptions=True)
    lost = [error for error in said if isinstance(error, Conflict)]
    assert ({error.problem_code for error in lost}, len(lost)) == ({"approval_decided"}, 19)
    await goes_on(office, run)
    assert (tool.times, (await ended(world, run)).actions.count("approval.decided")) == (1, 1)


@pytest.mark.parametrize("column", ["args", "digest", "tool", "tool_version"])
async def test_what_is_not_what_was_shown_cannot_be_decided(world: World, column: str) -> None:
    tool = a_write("send")
    office = await office_with(world, wants(("send", {"text": "x"})), says("Yes."), tools=[tool])
    run, _ = await started(office)
    (approval_id,) = await pending(office)
    value = '{"text":"y"}' if column == "args" else "0" * 64
    async with world.database._engine.begin() as connection:
        await connection.exec_driver_sql(f"UPDATE approvals SET {column} = ?", (value,))
    for decision in (ONCE, DENY):
        with pytest.raises(Conflict) as refused:
            await decide(office, approval_id, decision)
        assert refused.value.problem_code == "approval_altered"
    await office.service.cancel(run.tenant_id, run.id)
    assert (tool.times, (await ended(world, run)).statuses) == (0, ["failed"])


async def test_what_was_altered_after_the_decision_is_not_done(world: World) -> None:
    tool = a_write("send")
    office = await office_with(world, wants(("send", {"text": "x"})), says("Oh."), tools=[tool])
    other = Process(world, name="other", tools=[tool], max_active=0)
    run, _ = await started(office)
    await decide_next(other)
    await other.errands.finish()
    async with world.database._engine.begin() as connection:
        await connection.exec_driver_sql('UPDATE tool_calls SET arguments = \'{"text":"y"}\'')
    await office.look()
    await goes_on(office, run)
    books = await ended(world, run)
    assert (tool.times, books.statuses, books.errors) == (0, ["failed"], ["approval_altered"])


async def test_what_would_do_more_than_was_shown_is_not_done(world: World) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), says("Oh."), tools=[tool])
    run, _ = await started(office)
    tool.assessment = a_write("send", risk=Risk.HIGH).assessment
    await decide_next(office)
    await goes_on(office, run)
    assert (tool.times, (await ended(world, run)).errors) == (0, ["approval_outdated"])


async def test_strangers_find_nothing(world: World) -> None:
    office = await office_with(world, wants("send"), tools=[a_write("send")])
    run, _ = await started(office)
    (approval_id,) = await pending(office)
    assert await office.approvals.pending(new_id(), limit=9) == []
    for tenant_id, wanted in ((new_id(), approval_id), (run.tenant_id, new_id())):
        with pytest.raises(NotFound):
            await office.approvals.get(tenant_id, wanted)
        with pytest.raises(NotFound):
            await office.approvals.decide(tenant_id, wanted, ONCE, decided_by=ADA)
    with pytest.raises(NotFound):
        await office.approvals.continue_run(run.tenant_id, new_id(), approval_id)


async def test_from_where_a_reader_goes_on(world: World) -> None:
    office = await office_with(world, wants("send"), says("Sent."), tools=[a_write("send")])
    run, events = await started(office)
    (approval_id,) = await pending(office)
    with pytest.raises(Conflict) as early:
        await office.approvals.continue_run(run.tenant_id, run.id, approval_id)
    assert early.value.problem_code == "approval_pending"
    await decide(office, approval_id)
    place = await office.approvals.continue_run(run.tenant_id, run.id, approval_id)
    assert place == events[-1].position == Position(1, len(events))
    assert kinds(await goes_on(office, run, place))[0] == "attempt.started"


async def test_a_read_that_is_asked_for_runs_alone_and_once(world: World) -> None:
    tool = a_read("look", scope="/etc")
    office = await office_with(world, wants("look"), says("Seen."), tools=[tool])
    run, events = await started(office)
    assert isinstance(events[-3].event, e.ApprovalRequested)
    await decide_next(office)
    await goes_on(office, run)
    books = await ended(world, run)
    assert [made.scope for made in tool.invocations] == ["/etc"]
    assert (books.statuses, books.answer.status) == (["succeeded"], MessageStatus.COMPLETED)
