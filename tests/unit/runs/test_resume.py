"""A run whose process is gone goes on in another one, behind what was complete."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from retinue.domain import events as e
from retinue.domain.ids import Position
from retinue.domain.messages import MessageStatus
from retinue.domain.model_io import AssistantTurn, TextPiece, ToolTurn, UserTurn
from retinue.domain.runs import Run, RunStatus
from retinue.runs.draft import text_digest
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, says
from tests.unit.runs.logs import kinds, places, standing, text_of, whole
from tests.unit.runs.process import LIMITS, Process
from tests.unit.runs.test_runner import asks_for_tools


async def standing_still(office: Process, gate: Gate, **fields: Any) -> Run:
    """A run that came to the gate, stored what it had, and whose process then stood still for too long."""
    await office.configure()
    run = await office.start(await office.world.conversation(), **fields)
    await gate.wait_until_reached()
    await office.flush()
    await office.freeze(run)
    return run


async def gone_on(office: Process, run: Run) -> list[e.RecordedEvent]:
    """Another process finds the run and completes it; the whole log."""
    await office.look()
    events = await office.follow(run)
    await office.idle()
    assert list(await office.world.stored(run)) == events
    end = whole(events)
    stored, answer = await office.world.run_now(run), await office.world.answer_now(run)
    assert answer.content == text_of(standing(events))
    assert stored.text_sha256 == end.text_sha256 == text_digest(answer.content)
    assert stored.event_count == end.event_count == len(events)
    assert (stored.usage, answer.usage) == (end.usage, end.usage)
    return events


async def test_a_run_without_a_complete_step_begins_it_anew(world: World) -> None:
    gate = Gate()
    first = Process(world, [TextPiece("Hel"), gate], name="first")
    second = Process(world, says("Good ", "day"), name="second")
    run = await standing_still(first, gate)
    events = await gone_on(second, run)
    boundary = next(event for event in events if isinstance(event.event, e.AttemptStarted))
    assert boundary.position == (2, 1)
    assert boundary.event == e.AttemptStarted(attempt=2, discard_after=f"{run.id}:1-1")
    assert kinds(standing(events))[:3] == ["run.started", "attempt.started", "step.started"]
    assert second.provider.requests[0].turns == (UserTurn("Hi"),)
    answer = await world.answer_now(run)
    assert (answer.content, answer.status) == ("Good day", MessageStatus.COMPLETED)
    assert (await world.run_now(run)).attempt == 2


async def test_a_complete_step_is_not_taken_again(world: World) -> None:
    gate = Gate()
    first = Process(world, [TextPiece("I look. "), *asks_for_tools()], [TextPiece("Par"), gate], name="first")
    second = Process(world, says("Found."), name="second")
    run = await standing_still(first, gate)
    events = await gone_on(second, run)
    (asked,) = second.provider.requests
    question, call, results = asked.turns
    assert question == UserTurn("Hi")
    assert isinstance(call, AssistantTurn)
    assert (call.text, [tool.id for tool in call.tool_calls]) == ("I look. ", ["c1"])
    assert isinstance(results, ToolTurn)
    assert [result.call_id for result in results.results] == ["c1"]
    assert [event.event.step for event in events if isinstance(event.event, e.StepStarted)] == [1, 2, 2]
    end = whole(events)
    assert [entry.tool_call_id for entry in end.tool_log] == ["c1"]
    assert (await world.answer_now(run)).content == "I look. Found."
    async with world.database.unit(run.tenant_id, read_only=True) as unit:
        assert [entry.call_id for entry in await unit.tool_calls.list(run.id)] == ["c1"]


async def test_a_step_whose_checkpoint_was_stored_at_the_last_moment(world: World) -> None:
    """Nothing of the next step ever reached the log."""
    gate = Gate()
    first = Process(world, asks_for_tools(), [gate], name="first")
    second = Process(world, says("Done."), name="second")
    await first.configure()
    run = await first.start(await world.conversation())
    await gate.wait_until_reached()
    await first.freeze(run)
    (checkpoint,) = await world.checkpoints_now(run)
    events = await gone_on(second, run)
    boundary = next(event.event for event in events if isinstance(event.event, e.AttemptStarted))
    assert boundary.discard_after == f"{run.id}:{checkpoint.position}"
    assert standing(events) == events, "nothing is taken back"


async def test_a_run_of_which_nothing_was_stored(world: World) -> None:
    gate = Gate()
    first = Process(world, [TextPiece("Hel"), gate], name="first")
    second = Process(world, says("Hello"), name="second")
    await first.configure()
    run = await first.start(await world.conversation())
    await gate.wait_until_reached()
    await first.freeze(run)
    events = await gone_on(second, run)
    assert kinds(events)[:2] == ["run.started", "attempt.started"]
    assert places(events)[:2] == ["2-1", "2-2"]
    assert events[1].event == e.AttemptStarted(attempt=2, discard_after=None)


async def test_a_run_that_is_lost_twice(world: World) -> None:
    gates = [Gate(), Gate()]
    first = Process(world, asks_for_tools(), [TextPiece("One"), gates[0]], name="first")
    second = Process(world, [TextPiece("Two"), gates[1]], name="second")
    third = Process(world, says("Three"), name="third")
    run = await standing_still(first, gates[0])
    await second.look()
    await gates[1].wait_until_reached()
    await second.flush()
    await second.freeze(run)
    events = await gone_on(third, run)
    (checkpoint,) = await world.checkpoints_now(run)
    assert [(str(event.position), event.event) for event in events if isinstance(event.event, e.AttemptStarted)] == [
        (f"{attempt}-1", e.AttemptStarted(attempt=attempt, discard_after=f"{run.id}:{checkpoint.position}"))
        for attempt in (2, 3)
    ]
    assert (await world.answer_now(run)).content == "Three"
    assert len(third.provider.requests[0].turns) == 3


async def test_each_process_completes_a_step(world: World) -> None:
    gates = [Gate(), Gate()]
    first = Process(world, asks_for_tools("a"), [gates[0]], name="first")
    second = Process(world, asks_for_tools("b"), [TextPiece("lost"), gates[1]], name="second")
    third = Process(world, says("Done."), name="third")
    run = await standing_still(first, gates[0])
    await second.look()
    await gates[1].wait_until_reached()
    await second.flush()
    await second.freeze(run)
    events = await gone_on(third, run)
    assert [checkpoint.step for checkpoint in await world.checkpoints_now(run)] == [1, 2]
    assert [entry.tool_call_id for entry in whole(events).tool_log] == ["a", "b"]
    assert len(third.provider.requests[0].turns) == 5
    assert third.provider.requests[0].call_ids == ["a", "b"]


async def test_a_reader_sees_it_through_on_any_process(world: World) -> None:
    """One reads where the run began, one where it goes on, one has seen what was never stored."""
    gate = Gate()
    first = Process(world, [TextPiece("Hel"), gate], name="first")
    second = Process(world, says("Hello"), name="second")
    await first.configure()
    run = await first.start(await world.conversation())
    here = asyncio.create_task(first.follow(run))
    there = asyncio.create_task(second.follow(run))
    await gate.wait_until_reached()
    await first.flush()
    await first.freeze(run)
    await second.look()
    gate.opened.set()
    events = await there
    assert await here == events == list(await world.stored(run))
    assert places(await second.follow(run, Position(1, 99))) == [place for place in places(events) if place[0] == "2"]
    whole(events)


async def test_the_bound_on_steps_holds_over_all_attempts(world: World) -> None:
    gate = Gate()
    limits = msgspec.structs.replace(LIMITS, max_steps=2)
    first = Process(world, asks_for_tools("a"), [gate], name="first", limits=limits)
    second = Process(world, asks_for_tools("b"), name="second", limits=limits)
    events = await gone_on(second, await standing_still(first, gate))
    end = events[-1].event
    assert isinstance(end, e.RunFailed)
    assert (end.code, len(end.tool_log)) == ("step_limit_reached", 2)


async def test_how_fast_the_text_came_is_measured_where_it_came(world: World) -> None:
    gate = Gate()
    first = Process(world, [TextPiece("word " * 1000), *asks_for_tools()], [gate], name="first")
    second = Process(world, says("Done"), name="second")
    stats = whole(await gone_on(second, await standing_still(first, gate))).generation_stats
    assert stats.time_to_first_token_ms is not None
    assert stats.time_to_first_token_ms >= 0
    assert stats.max_tokens_per_second is not None
    assert stats.max_tokens_per_second <= 1000, "one token, however many the first process had got"


async def test_the_request_s_choices_are_the_run_s(world: World) -> None:
    gate = Gate()
    first = Process(world, [gate], name="first")
    second = Process(world, says("Yes"), name="second")
    await gone_on(second, await standing_still(first, gate, reasoning="high"))
    assert [asked.reasoning for asked in second.provider.requests] == ["high"]


async def test_two_processes_that_look_at_once_resume_it_once(world: World) -> None:
    gate = Gate()
    first = Process(world, [gate], name="first")
    others = [Process(world, says("Yes"), name=name) for name in ("second", "third", "fourth")]
    run = await standing_still(first, gate)
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*(other.look() for other in others))
    whole(await others[0].follow(run))
    assert sum(len(other.provider.requests) for other in others) == 1
    stored = await world.run_now(run)
    assert (stored.attempt, stored.status) == (2, RunStatus.COMPLETED)


async def test_the_own_runs_are_not_lost_while_they_are_here(world: World, quiet: Sequence[Mapping[str, Any]]) -> None:
    """The process was late with its renewal, and nobody else has noticed."""
    gate = Gate()
    office = Process(world, [TextPiece("Hel"), gate, *says("lo")])
    await office.configure()
    run = await office.start(await world.conversation())
    await gate.wait_until_reached()
    await world.expire(run, owner="office")
    await office.look()
    assert not await office.dispatcher.resume(run.tenant_id, run.id)
    gate.opened.set()
    whole(await office.follow(run))
    assert (await world.run_now(run)).attempt == 1
    assert len(office.provider.requests) == 1
    assert "lost_run_found" not in {line["event"] for line in quiet}
