"""Calls of which nobody knows whether they took place: that is what people are told, and what they are asked."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from retinue.alarms import Until
from retinue.domain import events as e
from retinue.domain.errors import Conflict, NotFound, RunTimeout, ToolError
from retinue.domain.ids import new_id
from retinue.domain.model_io import ToolTurn
from retinue.domain.runs import RunStatus, WaitingFor
from retinue.domain.tools import CallStatus, Resolution, ToolErrorKind
from retinue.runs.calls import invoking
from tests.unit.runs.acting.books import ended, paused
from tests.unit.runs.acting.story import ADA, allow_all, decide_next, goes_on, office_with, pause_of, resolve, started
from tests.unit.runs.acting.tools import StubTool, a_read, a_write, an_idempotent, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, says
from tests.unit.runs.logs import kinds
from tests.unit.runs.process import Process

UNCLEAR = ToolError("The connection broke.", kind=ToolErrorKind.TRANSIENT, code="reset")
HAPPENED, DID_NOT, RETRY = Resolution.HAPPENED, Resolution.DID_NOT_HAPPEN, Resolution.RETRY


async def in_doubt(
    world: World, *deeds: Any, kind: Any = a_write, then: str = "Well."
) -> tuple[Process, Any, StubTool]:
    """A run that waits because nobody knows what became of its call."""
    tool = kind("send", UNCLEAR, *deeds)
    office = await office_with(world, wants("send", "look"), says(then), tools=[tool, a_read("look")])
    run, _ = await started(office)
    await decide_next(office)
    await goes_on(office, run)
    return office, run, tool


async def forever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("deed", "detail"),
    [
        (UNCLEAR, "The connection broke."),
        (ZeroDivisionError("inside"), "The tool broke."),
        (forever, "The tool took longer than 0.05 seconds."),
    ],
    ids=["reset", "crash", "timeout"],
)
async def test_a_write_that_fails_unclearly_is_neither_success_nor_failure(
    world: World, deed: Any, detail: str
) -> None:
    tool = a_write("send", deed, timeout=0.05)
    office = await office_with(world, wants("send"), says("Well."), tools=[tool])
    run, _ = await started(office)
    await decide_next(office)
    pause = pause_of(await goes_on(office, run))
    assert (pause.waiting_for, pause.tool_call_ids, pause.approval_ids) == (
        WaitingFor.EFFECT_UNKNOWN,
        ("send-1",),
        (),
    )
    books = await paused(world, run)
    (entry,) = books.journal
    assert (entry.status, entry.error, entry.detail) == (CallStatus.OUTCOME_UNKNOWN, "outcome_unknown", detail)
    assert entry.finished_at is not None
    assert "tool_call.finished" not in kinds(books.events), "nothing is said of it that nobody knows"
    assert (tool.times, books.answer.tool_log) == (1, ())


async def test_an_idempotent_call_is_in_doubt_when_all_its_tries_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(invoking, "FIRST_WAIT", 0)
    office, run, tool = await in_doubt(world, UNCLEAR, UNCLEAR, "booked", kind=an_idempotent)
    assert (tool.times, (await paused(world, run)).statuses[0]) == (3, "outcome_unknown")
    await resolve(office, run, "send-1", RETRY)
    await goes_on(office, run)
    assert (await ended(world, run)).statuses == ["succeeded"] * 2
    assert {made.idempotency_key for made in tool.invocations} == {f"{run.id}:1"}


async def test_a_write_that_surely_changed_nothing_has_failed(world: World) -> None:
    tool = a_write("send", ToolError("Refused.", kind=ToolErrorKind.AUTH, code="forbidden", took_effect=False))
    office = await office_with(world, wants("send"), says("Sorry."), tools=[tool])
    run, _ = await started(office)
    await allow_all(office, run)
    books = await ended(world, run)
    assert (books.statuses, books.errors, books.run.status) == (["failed"], ["forbidden"], RunStatus.COMPLETED)


async def test_it_happened(world: World) -> None:
    office, run, tool = await in_doubt(world)
    woken = await resolve(office, run, "send-1", HAPPENED, {"id": 7})
    assert (woken.status, woken.waiting_for) == (RunStatus.RUNNING, None)
    await goes_on(office, run)
    books = await ended(world, run)
    assert (tool.times, books.statuses, books.errors) == (1, ["succeeded"] * 2, [None, None])
    entry = books.journal[0]
    assert (entry.result, entry.error, entry.detail, entry.resolved_by) == ({"id": 7}, None, None, ADA)
    turn = office.provider.requests[-1].turns[-1]
    assert isinstance(turn, ToolTurn)
    assert [(result.content, result.is_error) for result in turn.results] == [('{"id":7}', False), ("look", False)]
    assert books.actions[-1] == "effect.resolved"
    assert books.audit[-1].payload["resolution"] == "happened"


async def test_it_did_not_happen(world: World) -> None:
    office, run, tool = await in_doubt(world)
    await resolve(office, run, "send-1", DID_NOT)
    await goes_on(office, run)
    books = await ended(world, run)
    assert (tool.times, books.statuses, books.errors) == (1, ["failed", "succeeded"], ["did_not_happen", None])
    turn = office.provider.requests[-1].turns[-1]
    assert isinstance(turn, ToolTurn)
    assert turn.results[0].is_error


async def test_it_is_to_be_tried_again(world: World) -> None:
    office, run, tool = await in_doubt(world, "sent")
    await resolve(office, run, "send-1", RETRY)
    await goes_on(office, run)
    books = await ended(world, run)
    assert (tool.times, books.statuses, len(books.approvals)) == (2, ["succeeded"] * 2, 1)
    assert (books.journal[0].result, books.journal[0].error, books.journal[0].resolved_by) == ("sent", None, ADA)
    assert books.actions.count("tool.called") == 2


async def test_trying_again_may_end_in_doubt_again(world: World) -> None:
    office, run, tool = await in_doubt(world, UNCLEAR, "sent")
    for times in (2, 3):
        await resolve(office, run, "send-1", RETRY)
        events = await goes_on(office, run)
        assert (tool.times, isinstance(events[-1].event, e.RunPaused)) == (times, times == 2)
    assert (await ended(world, run)).statuses == ["succeeded"] * 2


async def test_a_retry_in_a_process_that_dies_at_once_is_made_once(world: World) -> None:
    office, run, tool = await in_doubt(world, "sent")
    full = Process(world, name="full", tools=office.tools, max_active=0)
    await resolve(full, run, "send-1", RETRY)
    await full.errands.finish()
    heir = Process(world, says("Well."), name="heir", tools=office.tools)
    await heir.look()
    await goes_on(heir, run)
    assert (tool.times, (await ended(world, run)).statuses) == (2, ["succeeded"] * 2)


async def test_a_result_that_a_person_gives_is_cut_and_cleaned(world: World) -> None:
    office, run, _ = await in_doubt(world)
    await resolve(office, run, "send-1", HAPPENED, "\x00" + "x" * 30_000)
    await goes_on(office, run)
    result = (await ended(world, run)).journal[0].result
    assert result.startswith("\ufffdx")
    assert result.endswith("[cut off: 20000 of 30001 characters]")


async def test_what_is_known_cannot_be_resolved(world: World) -> None:
    office, run, _ = await in_doubt(world)
    for call_id, error in (("look-2", Conflict), ("nothing", NotFound)):
        with pytest.raises(error):
            await resolve(office, run, call_id, HAPPENED)
    with pytest.raises(NotFound):
        await office.approvals.resolve_effect(new_id(), run.id, "send-1", HAPPENED, resolved_by=ADA)
    await paused(world, run)
    said = await asyncio.gather(*(resolve(office, run, "send-1", DID_NOT) for _ in range(5)), return_exceptions=True)
    lost = [error.problem_code for error in said if isinstance(error, Conflict)]
    assert len(lost) == 4
    assert set(lost) <= {"effect_known", "run_ended"}
    await goes_on(office, run)
    with pytest.raises(Conflict) as late:
        await resolve(office, run, "send-1", HAPPENED)
    assert late.value.problem_code == "run_ended"
    assert (await ended(world, run)).errors[0] == "did_not_happen"


async def test_cancelling_a_run_in_doubt_leaves_the_doubt(world: World) -> None:
    office, run, tool = await in_doubt(world)
    await office.service.cancel(run.tenant_id, run.id)
    books = await ended(world, run)
    assert (books.run.status, tool.times) == (RunStatus.CANCELLED, 1)
    assert (books.statuses, books.errors) == (["outcome_unknown", "failed"], ["outcome_unknown", "cancelled"])


async def test_a_doubt_does_not_run_out(world: World) -> None:
    """Nobody decides in time about a later call of the turn: that does not end the wait for the first one."""
    tools = [a_write("a", UNCLEAR), a_write("b")]
    office = await office_with(world, wants("a", "b"), says("Well."), tools=tools)
    run, _ = await started(office)
    await decide_next(office)
    assert pause_of(await goes_on(office, run)).waiting_for is WaitingFor.EFFECT_UNKNOWN
    async with world.database._engine.begin() as connection:
        await connection.exec_driver_sql("UPDATE approvals SET expires_at = datetime('now', '-1 seconds')")
    assert await office.expiry.sweep() == 0
    await resolve(office, run, "a-1", HAPPENED)
    assert pause_of(await goes_on(office, run)).waiting_for is WaitingFor.APPROVAL
    assert await office.expiry.sweep() == 1
    assert (await ended(world, run)).statuses == ["succeeded", "expired"]


@pytest.mark.parametrize("kind", [a_read, an_idempotent, a_write])
async def test_cancelling_in_the_middle_of_a_call(world: World, kind: Any) -> None:
    gate = Gate()
    tool = kind("t", gate)
    office = await office_with(world, wants("t", "look"), tools=[tool, a_read("look")])
    run = await office.start(await world.conversation())
    if kind is not a_read:
        await office.idle()
        await decide_next(office)
    await gate.wait_until_reached()
    stopped = await office.service.cancel(run.tenant_id, run.id)
    assert stopped.status is RunStatus.CANCELLED
    books = await ended(world, run)
    is_read = kind is a_read
    assert books.statuses[0] == ("failed" if is_read else "outcome_unknown")
    assert books.errors[0] == ("cancelled" if is_read else "outcome_unknown")
    assert (books.statuses[1], tool.times) == ("failed", 1)
    assert kinds(books.events)[-3:] == ["tool_call.finished", "tool_call.finished", "run.cancelled"]


@pytest.fixture
def time_is_over(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes the time of the run that began last be over."""
    made: list[Until] = []

    def remembered(at: float) -> Until:
        made.append(Until(at))
        return made[-1]

    monkeypatch.setattr("retinue.runs.runner.Until", remembered)
    return lambda: made[-1].set(asyncio.get_running_loop().time())


@pytest.mark.parametrize(
    ("kind", "status", "error"),
    [
        (a_read, "failed", "not_made"),
        (partial(a_read, command="find"), "failed", "cancelled"),
        (an_idempotent, "outcome_unknown", "outcome_unknown"),
        (a_write, "outcome_unknown", "outcome_unknown"),
    ],
    ids=["read", "command", "idempotent", "write"],
)
async def test_the_end_of_the_runs_time_in_the_middle_of_a_call(
    world: World, time_is_over: Callable[[], None], kind: Any, status: str, error: str
) -> None:
    gate = Gate()
    office = await office_with(world, wants("t", "t"), tools=[kind("t", gate, gate)])
    run = await office.start(await world.conversation())
    if error == "outcome_unknown":
        await office.idle()
        await decide_next(office)
    await gate.wait_until_reached()
    time_is_over()
    await goes_on(office, run)
    books = await ended(world, run)
    assert (books.run.status, books.run.error_code) == (RunStatus.FAILED, RunTimeout.code)
    assert (books.statuses, books.errors) == ([status, "failed"], [error, "not_made"])


async def test_a_command_that_only_reads_leaves_a_row_of_its_own(world: World) -> None:
    """It is written down before it runs, and needs nobody."""
    tool = a_read("sh", command="ls -l", action_type="list")
    office = await office_with(world, wants("sh"), says("Seen."), tools=[tool])
    run, _ = await started(office)
    books = await ended(world, run)
    assert (tool.times, books.statuses) == (1, ["succeeded"])
    assert books.actions == ["command.executed", "command.finished"]
    assert books.audit[1].object_id == str(books.audit[0].id)
    payload = books.audit[0].payload
    assert (payload["command"], payload["action_type"], payload["risk_level"]) == ("ls -l", "list", "low")
    assert (payload["approved"], books.journal[0].started_at is not None) == (False, True)


async def test_a_command_that_is_cut_off_while_it_reads(world: World) -> None:
    gate = Gate()
    office = await office_with(world, wants("sh"), tools=[a_read("sh", gate, command="find")])
    run = await office.start(await world.conversation())
    await gate.wait_until_reached()
    await office.service.cancel(run.tenant_id, run.id)
    books = await ended(world, run)
    assert (books.statuses, books.errors) == (["failed"], ["cancelled"])
    assert books.journal[0].error == "cancelled"
