"""The calls of a model turn: in which order they are made, and what the model, the stream and the books get to know."""

import asyncio
from typing import Any

import pytest

from retinue.domain import events as e
from retinue.domain.errors import ToolError
from retinue.domain.model_io import (
    AssistantTurn,
    Finished,
    FinishReason,
    ReasoningBlock,
    ReasoningEnded,
    ReasoningPiece,
    TextPiece,
    ToolCallEnded,
    ToolCallPiece,
    ToolCallStarted,
    ToolTurn,
    UserTurn,
)
from retinue.domain.policy import Permission
from retinue.domain.runs import RunStatus
from retinue.domain.tools import Effect
from retinue.runs.calls.arguments import MAX_DEPTH
from tests.unit.runs.acting.books import ended
from tests.unit.runs.acting.story import allow_all, office_with, started
from tests.unit.runs.acting.tools import a_read, a_tool, a_write, an_idempotent, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, Step, says
from tests.unit.runs.logs import kinds
from tests.unit.runs.process import Process


def results_of(office: Process, call: int = -1) -> list[tuple[str, str, bool]]:
    """What the model was told in its newest request."""
    turn = office.provider.requests[call].turns[-1]
    assert isinstance(turn, ToolTurn)
    return [(result.call_id, result.content, result.is_error) for result in turn.results]


async def test_a_read_runs_at_once_and_the_model_is_told(world: World) -> None:
    tool = a_read("look", {"hits": [1, "ü"]})
    office = await office_with(world, wants(("look", {"text": "cats"}), text="I look. "), says("Found."), tools=[tool])
    run, events = await started(office)
    assert results_of(office) == [("look-1", '{"hits":[1,"ü"]}', False)]
    books = await ended(world, run)
    assert (books.run.status, books.answer.content) == (RunStatus.COMPLETED, "I look. Found.")
    assert books.statuses == ["succeeded"]
    (entry,) = books.journal
    assert (entry.name, entry.version, entry.args, entry.result) == ("look", "1", {"text": "cats"}, {"hits": [1, "ü"]})
    assert (entry.step, entry.position, entry.effect, entry.approval_id) == (1, 1, Effect.READ, None)
    assert books.actions == [], "reading is no change"
    told = [kind for kind in kinds(events) if not kind.endswith(".delta")]
    assert told[2:] == [
        "status.changed",
        "status.changed",
        "tool_call.started",
        "usage.recorded",
        "tool_call.requested",
        "status.changed",
        "tool_call.finished",
        "step.started",
        "status.changed",
        "status.changed",
        "usage.recorded",
        "run.completed",
    ]
    stages = [event.event.stage for event in events if isinstance(event.event, e.StatusChanged)]
    assert stages == ["planning", "answering", "running_tool", "planning", "answering"]


async def test_what_goes_back_to_the_model_is_what_it_said(world: World) -> None:
    asks: list[Step] = [
        ReasoningPiece("Hm"),
        ReasoningEnded(signature="sig-1"),
        TextPiece("I look."),
        ToolCallStarted(id="x", name="look"),
        ToolCallPiece(id="x", fragment='{"text" : '),
        ToolCallPiece(id="x", fragment='"a" }'),
        ToolCallEnded(id="x", extra={"thought_signature": "sig-2"}),
        Finished(FinishReason.TOOL_CALLS),
    ]
    office = await office_with(world, asks, says("Yes."), tools=[a_read("look")])
    await started(office)
    question, said, results = office.provider.requests[-1].turns
    assert question == UserTurn("Hi")
    assert isinstance(said, AssistantTurn)
    assert (said.text, said.reasoning) == ("I look.", (ReasoningBlock(text="Hm", signature="sig-1"),))
    (call,) = said.tool_calls
    assert (call.id, call.arguments, call.extra) == ("x", '{"text" : "a" }', {"thought_signature": "sig-2"})
    assert isinstance(results, ToolTurn)
    assert [(result.call_id, result.name) for result in results.results] == [("x", "look")]
    assert [spec.name for spec in office.provider.requests[-1].tools] == ["look"]


async def test_neighbouring_reads_run_at_the_same_time_and_are_told_in_order(world: World) -> None:
    gates = [Gate(), Gate(), Gate()]
    tools = [a_read(f"look{number}", gate) for number, gate in enumerate(gates)]
    office = await office_with(world, wants("look0", "look1", "look2"), says("Yes."), tools=tools)
    run = await office.start(await world.conversation())
    for gate in gates:
        await gate.wait_until_reached()
    for gate in reversed(gates):
        gate.opened.set()
    events = await office.follow(run)
    finished = [event.event.tool for event in events if isinstance(event.event, e.ToolCallFinished)]
    assert finished == ["look0", "look1", "look2"]
    await office.idle()
    assert [entry.name for entry in (await ended(world, run)).journal] == finished


async def test_what_changes_something_runs_alone_and_in_order(world: World) -> None:
    running: list[str] = []
    seen: list[tuple[str, int]] = []

    def work(name: str) -> Any:
        async def tool() -> str:
            running.append(name)
            for _ in range(5):
                await asyncio.sleep(0)
            seen.append((name, len(running)))
            running.remove(name)
            return name

        return tool

    names = ["a", "b", "c", "d", "e", "f"]
    kind = {"a": a_read, "b": a_read, "c": a_write, "d": a_read, "e": an_idempotent, "f": a_write}
    tools = [kind[name](name, work(name)) for name in names]
    office = await office_with(world, wants(*names), says("Yes."), tools=tools)
    run = await office.start(await world.conversation())
    await allow_all(office, run)
    alone = {name: count for name, count in seen if name in "cef"}
    assert [name for name, _ in seen] == names
    assert alone == {"c": 1, "e": 1, "f": 1}
    books = await ended(world, run)
    assert [entry.name for entry in books.journal] == names
    assert books.actions.count("tool.called") == 3


async def test_reads_before_a_pause_have_been_made_when_it_comes(world: World) -> None:
    tools = [a_read("look"), a_write("send"), a_read("peek")]
    office = await office_with(world, wants("look", "send", "peek"), says("Yes."), tools=tools)
    run, events = await started(office)
    assert [tool.times for tool in tools] == [1, 0, 0]
    assert [event.event.tool for event in events if isinstance(event.event, e.ToolCallFinished)] == ["look"]
    await allow_all(office, run)
    assert [tool.times for tool in tools] == [1, 1, 1]
    assert (await ended(world, run)).statuses == ["succeeded"] * 3


@pytest.mark.parametrize("permission", Permission)
async def test_a_tool_that_there_is_not_or_not_for_this_employee(world: World, permission: Permission) -> None:
    hidden = a_read("hidden")
    office = await office_with(world, wants("nothing", "hidden"), says("Sorry."), tools=[a_read("look"), hidden])
    await office.change_employee(tools=("look", "gone"), permission=permission)
    run, _ = await started(office)
    detail = "tool_unavailable: This employee has no tool of that name. Its tools: look."
    assert results_of(office) == [("nothing-1", detail, True), ("hidden-2", detail, True)]
    assert [spec.name for spec in office.provider.requests[0].tools] == ["look"]
    books = await ended(world, run)
    assert (hidden.times, books.errors) == (0, ["tool_unavailable"] * 2)
    assert [entry.version for entry in books.journal] == ["", ""]


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        ('{"text": 1}', "Expected `str`, got `int` - at `$.text`"),
        ('{"txt": "x"}', "unknown field `txt`"),
        ("[1]", "Expected `object`, got `array`"),
        ("null", "Expected `object`, got `null`"),
        ("not json at all", "Expected `object`, got `str`"),
        ('{"text":' * (MAX_DEPTH + 1), "Expected `object`, got `str`"),
    ],
    ids=lambda text: text[:12],
)
async def test_arguments_that_do_not_fit_can_be_mended(world: World, args: str, hint: str) -> None:
    tool = a_read("look")
    office = await office_with(
        world, wants(("look", args)), wants(("look", {"text": "x"}), first=2), says("Yes."), tools=[tool]
    )
    run, _ = await started(office)
    ((_, content, is_error),) = results_of(office, 1)
    assert is_error
    assert content.startswith("invalid_arguments: ")
    assert hint in content
    books = await ended(world, run)
    assert (tool.times, books.errors) == (1, ["invalid_arguments", None])


async def test_arguments_are_kept_as_the_database_can_keep_them(world: World) -> None:
    tool = a_read("look")
    office = await office_with(world, wants(("look", '{"text": "a\\u0000b"}')), says("Yes."), tools=[tool])
    run, _ = await started(office)
    (entry,) = (await ended(world, run)).journal
    assert entry.args == {"text": "a\ufffdb"}


async def test_a_tool_that_fails_is_told_and_the_run_goes_on(world: World) -> None:
    office = await office_with(
        world, wants("look", "crash"), says("Sorry."),
        tools=[a_read("look", ToolError("Gone.", code="not_found")), a_read("crash", ZeroDivisionError("inside"))],
    )  # fmt: skip
    run, _ = await started(office)
    assert results_of(office) == [
        ("look-1", "not_found: Gone.", True),
        ("crash-2", "tool_failed: The tool broke.", True),
    ]
    books = await ended(world, run)
    assert (books.run.status, books.statuses) == (RunStatus.COMPLETED, ["failed", "failed"])


async def test_a_tool_that_cannot_even_look_is_told(world: World) -> None:
    class Blind(type(a_read("blind"))):  # type: ignore[misc]
        async def assess(self, *_: object) -> Any:
            raise ZeroDivisionError

    tool = Blind()
    office = await office_with(world, wants("blind"), says("Sorry."), tools=[tool])
    run, _ = await started(office)
    assert results_of(office) == [("blind-1", "tool_failed: The tool could not look at these arguments.", True)]
    assert (tool.times, (await ended(world, run)).statuses) == (0, ["failed"])


async def test_a_long_result_is_cut_for_everybody(world: World) -> None:
    office = await office_with(world, wants("look"), says("Long."), tools=[a_read("look", "x" * 30_000)])
    run, _ = await started(office)
    ((_, content, _),) = results_of(office)
    assert content.endswith("[cut off: 20000 of 30000 characters]")
    (entry,) = (await ended(world, run)).answer.tool_log
    assert entry.result == content


async def test_the_tool_knows_for_whom_it_works(world: World) -> None:
    tool = a_tool("look", scope="")
    office = await office_with(world, wants("look"), says("Yes."), tools=[tool])
    run, _ = await started(office)
    (made,) = tool.invocations
    caller = made.caller
    assert (caller.tenant_id, caller.employee_id) == (world.tenant.id, world.employee.id)
    assert (caller.conversation_id, caller.run_id) == (run.conversation_id, run.id)
    assert (made.call_id, made.idempotency_key, made.password) == ("look-1", f"{run.id}:1", None)


async def test_keys_are_the_calls_own_over_all_steps(world: World) -> None:
    tool = a_read("look")
    office = await office_with(
        world, wants("look", ("look", {"text": "b"})), wants("look", first=3), says("."), tools=[tool]
    )
    run, _ = await started(office)
    assert [made.idempotency_key for made in tool.invocations] == [f"{run.id}:{number}" for number in (1, 2, 3)]
    assert [(entry.step, entry.position) for entry in (await ended(world, run)).journal] == [(1, 1), (1, 2), (2, 3)]
