"""One run from its first event to its end: every ending, each told exactly once and after its commit."""

import asyncio
from collections.abc import Sequence

import json_repair
import pytest

from retinue.domain import events as e
from retinue.domain.errors import ProviderAuth, ProviderOverloaded, ProviderTimeout
from retinue.domain.events import RecordedEvent, RunEnd
from retinue.domain.messages import MessageStatus
from retinue.domain.model_io import (
    Finished,
    FinishReason,
    ReasoningEnded,
    ReasoningPiece,
    TextPiece,
    ToolCallEnded,
    ToolCallPiece,
    ToolCallStarted,
    ToolTurn,
    UsageReported,
)
from retinue.domain.policy import RetryPolicy
from retinue.domain.runs import CallOutcome, RunStatus
from retinue.domain.usage import Usage
from retinue.runs.calls.arguments import MAX_REPAIRED_CALLS
from retinue.runs.draft import text_digest
from retinue.runs.runner import Runner
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, Step, StubProvider, says


async def execute(runner: Runner) -> None:
    runner.begin()
    async with asyncio.timeout(DEADLINE):
        await asyncio.create_task(runner.execute())


def end_of(events: Sequence[RecordedEvent]) -> RunEnd:
    """The run's one terminal event, which is the last."""
    assert [event.is_terminal for event in events] == [False] * (len(events) - 1) + [True]
    assert [event.position.seq for event in events] == list(range(1, len(events) + 1))
    end = events[-1].event
    assert isinstance(end, RunEnd)
    assert end.event_count == len(events)
    return end


def kinds(events: Sequence[RecordedEvent]) -> list[str]:
    return [str(event.event.__struct_config__.tag) for event in events]


async def test_an_answer_is_told_and_stored(world: World) -> None:
    usage = Usage(input_tokens=3, output_tokens=2)
    provider = StubProvider(
        [ReasoningPiece("Hm"), ReasoningEnded(), TextPiece("Hel"), TextPiece("lo"), UsageReported(usage),
         Finished(FinishReason.STOP)]
    )  # fmt: skip
    runner = await world.runner(provider)
    await execute(runner)
    events = await world.follow(runner.run)
    assert kinds(events) == [
        "run.started",
        "step.started",
        "status.changed",
        "reasoning.delta",
        "status.changed",
        "text.delta",
        "text.delta",
        "usage.recorded",
        "run.completed",
    ]
    end = end_of(events)
    assert (end.finish_reason, end.usage, end.text_sha256) == ("stop", usage, text_digest("Hello"))
    assert end.metadata == {"provider": "stub", "model": "stub-1"}
    answer = await world.answer_now(runner.run)
    assert (answer.content, answer.reasoning, answer.status) == ("Hello", "Hm", MessageStatus.COMPLETED)
    run = await world.run_now(runner.run)
    assert (run.status, run.text_sha256, run.event_count) == (RunStatus.COMPLETED, end.text_sha256, 9)
    assert [entry.outcome for entry in await world.ledger_now(run)] == [CallOutcome.COMPLETED]


async def test_a_short_answer_takes_one_transaction(world: World) -> None:
    runner = await world.runner(StubProvider(says("Hi")))
    await execute(runner)
    assert world.database.units == 1


@pytest.mark.parametrize("reason", [FinishReason.LENGTH, FinishReason.CONTENT_FILTER, FinishReason.REFUSAL])
async def test_an_answer_says_why_it_stopped(world: World, reason: FinishReason) -> None:
    runner = await world.runner(StubProvider(says("Hi", reason=reason)))
    await execute(runner)
    assert end_of(await world.follow(runner.run)).finish_reason == reason.value


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ([TextPiece("par"), TextPiece("tial"), ProviderTimeout()], "provider_timeout"),
        ([TextPiece("par"), TextPiece("tial")], "provider_truncated"),
        ([TextPiece("par"), TextPiece("tial"), ZeroDivisionError("10.0.0.7")], "internal_error"),
        ([TextPiece("par"), TextPiece("tial"), TextPiece("x" * 100)], "answer_too_long"),
        ([TextPiece("par"), TextPiece("tial"), ReasoningPiece("x" * 100)], "answer_too_long"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_failure_keeps_what_had_been_said(world: World, script: list[Step], code: str) -> None:
    runner = await world.runner(StubProvider(script), max_answer_chars=20)
    await execute(runner)
    end = end_of(await world.follow(runner.run))
    assert isinstance(end, e.RunFailed)
    assert (end.code, end.finish_reason, end.text_sha256) == (code, "error", text_digest("partial"))
    assert "10.0.0.7" not in end.detail
    answer = await world.answer_now(runner.run)
    assert (answer.content, answer.status, answer.error_code) == ("partial", MessageStatus.FAILED, code)
    assert (await world.run_now(runner.run)).error_code == code
    assert [entry.outcome for entry in await world.ledger_now(runner.run)] != [CallOutcome.OPEN]


async def test_a_failure_before_the_first_word(world: World) -> None:
    runner = await world.runner(StubProvider([ProviderAuth("The key is wrong.")]))
    await execute(runner)
    end = end_of(await world.follow(runner.run))
    assert isinstance(end, e.RunFailed)
    assert (end.code, end.detail, end.status, end.retryable) == ("provider_auth", "The key is wrong.", 502, False)
    assert [(entry.outcome, entry.error_code) for entry in await world.ledger_now(runner.run)] == [
        (CallOutcome.FAILED, "provider_auth")
    ]


async def test_every_try_has_its_row_in_the_ledger(world: World) -> None:
    provider = StubProvider([ProviderOverloaded()], [ProviderOverloaded()], says("Hi"))
    runner = await world.runner(provider, retries=RetryPolicy(max_tries=3, base_delay=0))
    await execute(runner)
    assert end_of(await world.follow(runner.run)).finish_reason == "stop"
    assert [(entry.tries, entry.outcome) for entry in await world.ledger_now(runner.run)] == [
        (1, CallOutcome.FAILED),
        (2, CallOutcome.FAILED),
        (3, CallOutcome.COMPLETED),
    ]


async def test_a_run_that_takes_too_long_is_ended(world: World) -> None:
    runner = await world.runner(StubProvider([TextPiece("Hel"), Gate()]), duration=0.05)
    await execute(runner)
    end = end_of(await world.follow(runner.run))
    assert isinstance(end, e.RunFailed)
    assert end.code == "run_timeout"
    assert (await world.answer_now(runner.run)).content == "Hel"


async def test_stopping_a_silent_provider_closes_its_stream(world: World) -> None:
    gate = Gate()
    provider = StubProvider([TextPiece("Hel"), gate])
    runner = await world.runner(provider)
    runner.begin()
    task = asyncio.create_task(runner.execute())
    await gate.wait_until_reached()
    runner.cancel()
    runner.hand_over()
    async with asyncio.timeout(DEADLINE):
        await task
    assert provider.open_streams == 0
    end = end_of(await world.follow(runner.run))
    assert isinstance(end, e.RunCancelled), "the first word counts"
    answer = await world.answer_now(runner.run)
    assert (answer.content, answer.status) == ("Hel", MessageStatus.CANCELLED)
    assert [entry.outcome for entry in await world.ledger_now(runner.run)] == [CallOutcome.ABORTED]


async def test_stopping_before_the_start_never_calls_the_provider(world: World) -> None:
    provider = StubProvider()
    runner = await world.runner(provider)
    runner.cancel()
    await execute(runner)
    assert provider.requests == []
    assert kinds(await world.follow(runner.run)) == ["run.started", "run.cancelled"]
    assert [entry.outcome for entry in await world.ledger_now(runner.run)] == [CallOutcome.ABORTED]


async def test_stopping_while_the_end_is_stored_comes_too_late(world: World) -> None:
    runner = await world.runner(StubProvider(says("Hi")))
    world.database.hold = gate = Gate()
    runner.begin()
    task = asyncio.create_task(runner.execute())
    await gate.wait_until_reached()
    runner.cancel()
    gate.opened.set()
    async with asyncio.timeout(DEADLINE):
        await task
    assert isinstance(end_of(await world.follow(runner.run)), e.RunCompleted)


async def test_a_cancelled_task_ends_its_run_as_cancelled(world: World) -> None:
    gate = Gate()
    runner = await world.runner(StubProvider([gate]))
    runner.begin()
    task = asyncio.create_task(runner.execute())
    await gate.wait_until_reached()
    task.cancel()
    async with asyncio.timeout(DEADLINE):
        await task
    assert isinstance(end_of(await world.follow(runner.run)), e.RunCancelled)


def asks_for_tools(call_id: str = "c1") -> list[Step]:
    return [
        ToolCallStarted(id=call_id, name="search"),
        ToolCallPiece(id=call_id, fragment='{"q":'),
        ToolCallPiece(id=call_id, fragment='"x"}'),
        ToolCallEnded(id=call_id),
        Finished(FinishReason.STOP),
    ]


async def test_tool_calls_are_answered_and_the_next_step_sees_it(world: World) -> None:
    provider = StubProvider(asks_for_tools(), says("No tools."))
    runner = await world.runner(provider)
    await execute(runner)
    events = await world.follow(runner.run)
    end = end_of(events)
    assert [(entry.name, entry.args, entry.error) for entry in end.tool_log] == [
        ("search", {"q": "x"}, "tool_unavailable")
    ]
    assert (await world.answer_now(runner.run)).tool_log == end.tool_log
    assert isinstance(provider.requests[1].turns[-1], ToolTurn)
    assert [event.event.step for event in events if isinstance(event.event, e.StepStarted)] == [1, 2]
    assert [entry.step for entry in await world.ledger_now(runner.run)] == [1, 2]


async def test_arguments_are_repaired_once_and_in_the_first_calls_only(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    repaired: list[str] = []

    def repair(text: str) -> dict[str, int]:
        repaired.append(text)
        return {"n": len(repaired)}

    monkeypatch.setattr(json_repair, "loads", repair)
    calls: list[Step] = []
    for number in range(MAX_REPAIRED_CALLS + 1):
        call_id = f"c{number}"
        calls += [
            ToolCallStarted(id=call_id, name="f"),
            ToolCallPiece(id=call_id, fragment="{"),
            ToolCallEnded(id=call_id),
        ]
    runner = await world.runner(StubProvider([*calls, Finished(FinishReason.STOP)], says("Done.")))
    await execute(runner)
    events = [event.event for event in await world.follow(runner.run)]
    expected = [*({"n": number + 1} for number in range(MAX_REPAIRED_CALLS)), "{"]
    assert [event.args for event in events if isinstance(event, e.ToolCallRequested)] == expected
    assert [event.args for event in events if isinstance(event, e.ToolCallFinished)] == expected
    assert len(repaired) == MAX_REPAIRED_CALLS


async def test_an_employee_that_only_calls_tools_reaches_the_limit(world: World) -> None:
    runner = await world.runner(StubProvider(asks_for_tools("a"), asks_for_tools("b")), max_steps=2)
    await execute(runner)
    end = end_of(await world.follow(runner.run))
    assert isinstance(end, e.RunFailed)
    assert end.code == "step_limit_reached"
    assert len(end.tool_log) == 2
