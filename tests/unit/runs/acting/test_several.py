"""Several calls of one turn that people have to decide about."""

from datetime import timedelta
from typing import Any

import pytest

from retinue.domain import events as e
from retinue.domain.approvals import ApprovalStatus, Decision
from retinue.domain.errors import Conflict
from retinue.domain.model_io import ToolTurn
from retinue.domain.runs import RunStatus
from retinue.runs.waiting.pausing import Pausing
from tests.unit.runs.acting.books import ended, paused, read_books
from tests.unit.runs.acting.story import decide, goes_on, office_with, pause_of, pending, started
from tests.unit.runs.acting.tools import a_read, a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, says
from tests.unit.runs.logs import kinds

DENY, ALWAYS = Decision.DENY, Decision.ALLOW_FOR_CONVERSATION


async def test_all_are_asked_for_at_once_and_handled_in_order(world: World) -> None:
    tools = [a_write("a"), a_write("b"), a_write("c")]
    office = await office_with(world, wants("a", "b", "c"), says("Done."), tools=tools)
    run, events = await started(office)
    asked = await pending(office)
    assert pause_of(events).approval_ids == tuple(asked)
    assert kinds(events)[-5:] == [*["approval.requested"] * 3, "status.changed", "run.paused"]
    for number in range(3):
        assert [tool.times for tool in tools] == [1] * number + [0] * (3 - number)
        books = await paused(world, run)
        assert pause_of(list(books.events)).approval_ids == tuple(asked[number:])
        await decide(office, asked[number])
        await goes_on(office, run)
    books = await ended(world, run)
    assert (books.statuses, len(books.approvals)) == (["succeeded"] * 3, 3)
    assert len(office.provider.requests) == 2
    assert kinds(books.events).count("approval.requested") == 3, "each is asked once"
    assert kinds(books.events).count("run.paused") == 3
    assert kinds(books.events).count("approval.decided") == 3, "and told once"


async def test_decided_out_of_order_they_are_still_made_in_order(world: World) -> None:
    tools = [a_write("a"), a_write("b"), a_write("c")]
    office = await office_with(world, wants("a", "b", "c"), says("Done."), tools=tools)
    run, _ = await started(office)
    first, second, third = await pending(office)
    for approval_id in (third, second):
        await decide(office, approval_id)
        await office.errands.finish()
        await paused(world, run)
        assert [tool.times for tool in tools] == [0, 0, 0]
    books = await paused(world, run)
    assert [approval.status.value for approval in books.approvals] == ["pending", "granted", "granted"]
    await decide(office, first)
    events = await goes_on(office, run)
    books = await ended(world, run)
    assert (books.statuses, books.run.pauses) == (["succeeded"] * 3, 1)
    decided = [event.event.approval_id for event in events if isinstance(event.event, e.ApprovalDecided)]
    assert decided == [first, second, third], "each told once"


async def test_a_decision_while_the_run_works_is_found_when_it_gets_there(world: World) -> None:
    gate = Gate()
    tools = [a_write("a", gate), a_write("b")]
    office = await office_with(world, wants("a", "b"), says("Done."), tools=tools)
    run, _ = await started(office)
    first, second = await pending(office)
    await decide(office, first)
    await gate.wait_until_reached()
    await decide(office, second)
    assert [approval.status.value for approval in (await read_books(world, run)).approvals] == ["granted"] * 2
    gate.opened.set()
    await goes_on(office, run)
    books = await ended(world, run)
    assert (books.statuses, books.run.pauses) == (["succeeded"] * 2, 1)


async def test_a_decision_in_the_moment_in_which_the_run_begins_to_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has looked, and has not stored yet that it waits."""
    tools = [a_write("a"), a_write("b")]
    office = await office_with(world, wants("a", "b"), says("Done."), tools=tools)
    run, _ = await started(office)
    first, second = await pending(office)
    gate = Gate()
    await decide(office, first)
    pause = Pausing.pause

    async def later(pausing: Pausing, *given: Any) -> Any:
        await gate()
        return await pause(pausing, *given)

    monkeypatch.setattr(Pausing, "pause", later)
    await office.errands.finish()
    await gate.wait_until_reached()
    await decide(office, second)
    gate.opened.set()
    await goes_on(office, run)
    books = await ended(world, run)
    assert (books.statuses, books.run.pauses) == (["succeeded"] * 2, 1)


async def test_a_denial_skips_what_comes_after_it(world: World) -> None:
    tools = [a_write("a"), a_write("b"), a_read("c"), a_write("d")]
    office = await office_with(world, wants("a", "b", "c", "d"), says("Then not."), tools=tools)
    run, _ = await started(office)
    first, second, fourth = await pending(office)
    await decide(office, first)
    await goes_on(office, run)
    await decide(office, second, DENY)
    await goes_on(office, run)
    assert [tool.times for tool in tools] == [1, 0, 0, 0]
    books = await ended(world, run)
    assert books.statuses == ["succeeded", "denied", "failed", "failed"]
    assert books.errors == [None, "denied", "skipped", "skipped"]
    assert books.run.status is RunStatus.COMPLETED
    turn = office.provider.requests[-1].turns[-1]
    assert isinstance(turn, ToolTurn)
    assert [result.is_error for result in turn.results] == [False, True, True, True]
    with pytest.raises(Conflict) as late:
        await decide(office, fourth)
    assert late.value.problem_code == "approval_superseded"


async def test_what_was_skipped_is_not_asked_any_more_while_the_run_goes_on(world: World) -> None:
    gate = Gate()
    office = await office_with(world, wants("a", "b"), [gate, *says("Hm.")], tools=[a_write("a"), a_write("b")])
    run, _ = await started(office)
    first, second = await pending(office)
    await decide(office, first, DENY)
    await gate.wait_until_reached()
    assert await pending(office) == []
    with pytest.raises(Conflict) as late:
        await decide(office, second)
    assert late.value.problem_code == "approval_superseded"
    gate.opened.set()
    await goes_on(office, run)
    await ended(world, run)


async def test_a_denial_of_a_later_call_waits_for_its_turn(world: World) -> None:
    tools = [a_write("a"), a_write("b")]
    office = await office_with(world, wants("a", "b"), says("Half."), tools=tools)
    run, _ = await started(office)
    first, second = await pending(office)
    await decide(office, second, DENY)
    await paused(world, run)
    await decide(office, first)
    await goes_on(office, run)
    assert (await ended(world, run)).statuses == ["succeeded", "denied"]


async def test_a_grant_answers_the_other_questions_about_the_same(world: World) -> None:
    tool = a_write("send")
    calls = [("send", {"text": str(number)}) for number in range(3)]
    office = await office_with(world, wants(*calls), says("Sent."), tools=[tool])
    run, _ = await started(office)
    first, *others = await pending(office)
    assert len(others) == 2
    await decide(office, first, ALWAYS)
    await goes_on(office, run)
    books = await ended(world, run)
    assert (tool.times, books.statuses, books.run.pauses) == (3, ["succeeded"] * 3, 1)
    assert [approval.status.value for approval in books.approvals] == ["granted", "superseded", "superseded"]
    assert {entry.approval_id for entry in books.journal} == {first}


async def test_a_read_between_two_writes_is_made_in_between(world: World) -> None:
    tools = [a_write("a"), a_read("look"), a_write("b")]
    office = await office_with(world, wants("a", "look", "b"), says("Done."), tools=tools)
    run, _ = await started(office)
    first, second = await pending(office)
    await decide(office, first)
    await goes_on(office, run)
    books = await paused(world, run)
    assert (books.statuses, [tool.times for tool in tools]) == (["succeeded", "succeeded", "proposed"], [1, 1, 0])
    await decide(office, second)
    await goes_on(office, run)
    assert (await ended(world, run)).statuses == ["succeeded"] * 3


async def test_each_question_has_its_own_time(world: World) -> None:
    """The second call is not asked for anew after the first, so its time goes on."""
    office = await office_with(world, wants("a", "b"), says("Done."), tools=[a_write("a"), a_write("b")])
    run, _ = await started(office)
    before = (await paused(world, run)).approvals
    await decide(office, before[0].id)
    await goes_on(office, run)
    after = (await paused(world, run)).approvals
    assert [approval.expires_at for approval in after] == [approval.expires_at for approval in before]
    assert before[0].expires_at - before[1].expires_at == timedelta(0)
    assert (after[1].paused_attempt, before[1].paused_attempt) == (2, 1), "but a reader goes on behind the new pause"


async def test_a_tool_that_was_taken_away_meanwhile(world: World) -> None:
    tools = [a_write("a"), a_write("b")]
    gate = Gate()
    office = await office_with(world, wants("a", "b"), [gate, *says("Hm.")], tools=tools)
    run, _ = await started(office)
    first, second = await pending(office)
    await office.change_employee(tools=("a",))
    await decide(office, first)
    await gate.wait_until_reached()
    assert await pending(office) == [], "nobody needs to decide about it any more"
    gate.opened.set()
    await goes_on(office, run)
    books = await ended(world, run)
    assert (books.errors, tools[1].times) == ([None, "tool_unavailable"], 0)
    assert books.approvals[1].id == second
    assert books.approvals[1].status is ApprovalStatus.SUPERSEDED
