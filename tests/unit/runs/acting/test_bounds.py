"""What keeps an employee from doing too much, and what the gate refuses without asking anybody."""

from typing import Any

import pytest

from retinue.domain import events as e
from retinue.domain.errors import ToolError
from retinue.domain.model_io import ToolTurn
from retinue.domain.policy import Permission, RunLimits
from retinue.domain.runs import RunStatus
from retinue.domain.tools import ToolErrorKind
from retinue.runs.calls import invoking
from tests.unit.runs.acting.books import ended
from tests.unit.runs.acting.story import allow_all, office_with, started
from tests.unit.runs.acting.tools import a_read, a_write, an_idempotent, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import says

NOPE = ToolError("No.", code="nope")


def limits(**fields: Any) -> RunLimits:
    return RunLimits(max_output_tokens=1000, context_tokens=10_000, **fields)


async def test_so_many_calls_of_one_turn_and_no_more(world: World) -> None:
    tool = a_read("look")
    calls = [("look", {"text": str(number)}) for number in range(5)]
    office = await office_with(world, wants(*calls), says("Yes."), tools=[tool], limits=limits(max_calls_per_step=3))
    run, _ = await started(office)
    books = await ended(world, run)
    assert (tool.times, books.errors) == (3, [None] * 3 + ["too_many_calls"] * 2)
    turn = office.provider.requests[-1].turns[-1]
    assert isinstance(turn, ToolTurn)
    assert len(turn.results) == 5, "every call is answered, or no provider takes the turn back"


async def test_the_bound_on_calls_begins_anew_with_each_turn(world: World) -> None:
    tool = a_read("look")
    turns = [wants(("look", {"text": str(first)}), "look", first=first) for first in (1, 3)]
    office = await office_with(world, *turns, says("Yes."), tools=[tool], limits=limits(max_calls_per_step=2))
    run, _ = await started(office)
    assert (tool.times, (await ended(world, run)).errors) == (4, [None] * 4)


async def test_a_call_that_keeps_failing_is_not_made_again(world: World) -> None:
    tool = a_read("look", *[NOPE] * 9)
    same = {"text": "x"}
    turns = [wants(("look", same), first=number) for number in range(1, 6)]
    office = await office_with(world, *turns, says("Sorry."), tools=[tool])
    run, _ = await started(office)
    books = await ended(world, run)
    assert (tool.times, books.errors) == (3, ["nope"] * 3 + ["repeated_failure"] * 2)
    detail = books.answer.tool_log[-1].detail
    assert detail is not None
    assert "failed" in detail


async def test_the_same_call_in_other_words_is_another_one(world: World) -> None:
    tool = a_read("look", *[NOPE] * 9)
    turns = [wants(("look", {"text": str(number)}), first=number) for number in range(1, 5)]
    office = await office_with(world, *turns, says("Sorry."), tools=[tool])
    run, _ = await started(office)
    assert (tool.times, (await ended(world, run)).errors) == (4, ["nope"] * 4)


async def test_what_succeeds_may_be_repeated(world: World) -> None:
    tool = a_read("look")
    turns = [wants("look", first=number) for number in range(1, 6)]
    office = await office_with(world, *turns, says("Yes."), tools=[tool])
    run, _ = await started(office)
    assert (tool.times, (await ended(world, run)).errors) == (5, [None] * 5)


async def test_the_bound_on_steps_is_an_outcome(world: World) -> None:
    tool = a_read("look")
    turns = [wants("look", text="Again. ", first=number) for number in range(1, 4)]
    office = await office_with(world, *turns, tools=[tool], limits=limits(max_steps=2))
    run, events = await started(office)
    end = events[-1].event
    assert isinstance(end, e.RunFailed)
    assert (end.code, end.finish_reason) == ("step_limit_reached", "error")
    books = await ended(world, run)
    assert (books.run.status, books.run.error_code) == (RunStatus.FAILED, "step_limit_reached")
    assert (len(office.provider.requests), tool.times) == (2, 2)
    assert (books.statuses, books.answer.content) == (["succeeded"] * 2, "Again. Again. ")


async def test_waiting_for_a_person_costs_no_step(world: World) -> None:
    turns = [wants("send", first=number) for number in (1, 2)]
    office = await office_with(world, *turns, says("Sent."), tools=[a_write("send")], limits=limits(max_steps=3))
    run, _ = await started(office)
    await allow_all(office, run)
    books = await ended(world, run)
    assert (books.run.status, books.run.attempt, books.run.pauses) == (RunStatus.COMPLETED, 3, 2)
    assert len(office.provider.requests) == 3


async def test_going_on_after_waiting_is_no_lost_attempt(world: World) -> None:
    turns = [wants("send", first=number) for number in range(1, 5)]
    bounds = limits(max_attempts=1)
    office = await office_with(world, *turns, says("Sent."), tools=[a_write("send")], limits=bounds)
    run, _ = await started(office)
    await allow_all(office, run)
    assert (await ended(world, run)).run.status is RunStatus.COMPLETED


@pytest.mark.parametrize("kind", [a_write, an_idempotent])
async def test_who_may_only_read_writes_nothing_and_nobody_is_asked(world: World, kind: Any) -> None:
    tool = kind("t")
    office = await office_with(world, wants("t"), says("Sorry."), permission=Permission.READ, tools=[tool])
    run, _ = await started(office)
    books = await ended(world, run)
    assert (tool.times, books.statuses, books.errors) == (0, ["denied"], ["not_permitted"])
    assert (books.approvals, books.actions) == ([], [])


async def test_what_the_tool_refuses_nobody_is_asked_about(world: World) -> None:
    tool = a_write("send", refusal="That is the system's own directory.")
    office = await office_with(world, wants("send", "send"), says("Sorry."), tools=[tool])
    run, _ = await started(office)
    books = await ended(world, run)
    assert (tool.times, books.statuses, books.errors) == (0, ["denied"] * 2, ["refused"] * 2)
    assert books.approvals == []
    assert books.answer.tool_log[0].detail == "That is the system's own directory."


async def test_a_read_that_is_refused_holds_up_no_other(world: World) -> None:
    tools = [a_read("hide", refusal="No."), a_read("look")]
    office = await office_with(world, wants("look", "hide", "look"), says("Yes."), tools=tools)
    run, _ = await started(office)
    assert (await ended(world, run)).errors == [None, "refused", None]


async def test_a_busy_service_is_asked_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(invoking, "FIRST_WAIT", 0)
    busy = ToolError("Busy.", kind=ToolErrorKind.TRANSIENT, code="busy")
    tool = a_read("look", busy, busy, "found")
    office = await office_with(world, wants("look"), says("Yes."), tools=[tool])
    run, _ = await started(office)
    books = await ended(world, run)
    assert (tool.times, books.statuses) == (3, ["succeeded"])
    assert len({made.idempotency_key for made in tool.invocations}) == 1
