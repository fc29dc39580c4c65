"""What a provider sends together, or to a sink, leads to what it leads to one by one."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from retinue.domain import events as e
from retinue.domain.errors import ProcessLost
from retinue.domain.events import RunEvent
from retinue.domain.messages import Message
from retinue.domain.model_io import (
    Finished,
    FinishReason,
    ProviderEvent,
    ReasoningEnded,
    ReasoningPiece,
    TextPiece,
    ToolCallEnded,
    ToolCallPiece,
    ToolCallStarted,
    UsageReported,
)
from retinue.domain.usage import Usage
from retinue.runs import recorder
from retinue.runs.step import MANY
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, StubProvider
from tests.unit.runs.test_budgets import PRICE, bound, now

WORDS = [TextPiece(f"word{number:03} ") for number in range(100)]
THE_END = Finished(FinishReason.STOP)
USAGE = UsageReported(Usage(input_tokens=5, output_tokens=40))
ANSWERS: dict[str, list[ProviderEvent]] = {
    "text": [*WORDS[:20], THE_END],
    "text and its cost": [*WORDS[:20], USAGE, THE_END],
    "nothing": [THE_END],
    "thoughts first": [ReasoningPiece("Let me "), ReasoningPiece("see."), ReasoningEnded(), *WORDS[:3], USAGE, THE_END],
    "thoughts between": [*WORDS[:2], ReasoningPiece("Hm."), ReasoningEnded(), *WORDS[2:4], THE_END],
    "other scripts": [TextPiece("Grüße "), TextPiece("世界"), TextPiece("👋"), THE_END],
    "a call": [
        *WORDS[:2],
        ToolCallStarted(id="a", name="x"),
        ToolCallPiece(id="a", fragment="{}"),
        ToolCallEnded(id="a"),
        Finished(FinishReason.TOOL_CALLS),
    ],
}


async def lead_to(
    world: World, *batches: Sequence[ProviderEvent], max_answer_chars: int = 10_000, pours: bool = False
) -> tuple[list[RunEvent], Message]:
    """The events of a run, but for what is never the same, and the answer that it leaves."""
    provider = StubProvider([tuple(batch) for batch in batches], [THE_END], pours=pours)
    runner = await world.runner(provider, prices=(PRICE,), max_answer_chars=max_answer_chars)
    async with asyncio.timeout(DEADLINE):
        await runner.execute()
    stored = await world.stored(runner.run)
    told = [one.event for one in stored]
    return [event for event in told[1:-1] if not isinstance(event, e.ToolCallFinished)], await world.answer_now(
        runner.run
    )


@pytest.mark.parametrize(("size", "pours"), [(2, False), (3, True), (1000, False), (1, True)])
@pytest.mark.parametrize("name", ANSWERS)
async def test_it_is_the_same_as_one_by_one(world: World, name: str, size: int, pours: bool) -> None:
    await bound(world, 10**9)
    events = ANSWERS[name]
    told, answer = await lead_to(world, *([event] for event in events))
    again, same = await lead_to(world, *(events[at : at + size] for at in range(0, len(events), size)), pours=pours)
    assert again == told
    assert (same.content, same.reasoning, same.status) == (answer.content, answer.reasoning, answer.status)
    assert (same.usage, same.finish_reason) == (answer.usage, answer.finish_reason)


@pytest.mark.parametrize("money", [100, 300, 500])
async def test_money_ends_at_the_same_piece(world: World, money: int) -> None:
    answers, spent = [], 0
    one_by_one = [[word] for word in WORDS]
    for batches, pours in ((one_by_one, False), ([WORDS], False), (one_by_one, True)):
        budget = await bound(world, spent + money)
        answers.append((await lead_to(world, *batches, [THE_END], pours=pours))[1])
        spent, _ = await now(world, budget)
        async with world.database.unit(world.tenant.id) as unit:
            await unit.budgets.delete(budget.id)
    assert answers[0].content == answers[1].content == answers[2].content
    assert [answer.finish_reason for answer in answers] == ["budget"] * 3
    assert 0 < len(answers[1].content) < len(WORDS) * 8


async def test_an_answer_is_too_long_at_the_same_piece(world: World) -> None:
    one_by_one = await lead_to(world, *([word] for word in WORDS), [THE_END], max_answer_chars=100)
    assert _but_ids(await lead_to(world, WORDS, [THE_END], max_answer_chars=100)) == _but_ids(one_by_one)
    poured = await lead_to(world, *([word] for word in WORDS), [THE_END], max_answer_chars=100, pours=True)
    assert _but_ids(poured) == _but_ids(one_by_one)
    assert one_by_one[1].content == "".join(word.text for word in WORDS[:12])


def _but_ids(came: tuple[list[RunEvent], Message]) -> tuple[list[RunEvent], str, str]:
    told, answer = came
    return told, answer.content, answer.status


async def test_events_that_wait_for_the_database_are_bounded_at_the_same_piece(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "MAX_UNSTORED", 30)
    one_by_one = await lead_to(world, *([word] for word in WORDS), [THE_END])
    assert _but_ids(await lead_to(world, WORDS, [THE_END])) == _but_ids(one_by_one)
    poured = await lead_to(world, *([word] for word in WORDS), [THE_END], pours=True)
    assert _but_ids(poured) == _but_ids(one_by_one)
    assert 0 < len(one_by_one[1].content) < len(WORDS) * 8


async def test_others_have_their_turn_after_many(world: World) -> None:
    turns: list[int] = []
    seen = 0

    async def look() -> None:
        nonlocal seen
        seen = len(turns)

    provider = StubProvider([tuple(WORDS[: MANY + 1]), look, THE_END])
    runner = await world.runner(provider)

    async def others() -> None:
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    async with asyncio.timeout(DEADLINE):
        await runner.execute()
    task.cancel()
    assert seen > 0


async def test_nothing_is_poured_while_the_database_is_behind(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "HIGH_WATER", 10)
    monkeypatch.setattr(recorder, "ROOM_SECONDS", 0.01)  # nobody writes
    provider = StubProvider([*WORDS, THE_END], pours=True)
    runner = await world.runner(provider)
    async with asyncio.timeout(DEADLINE):
        await runner.execute()
    assert 0 < provider.poured < 10, "what is refused is yielded, and its step waits for the database behind it"
    assert (await world.answer_now(runner.run)).content == "".join(word.text for word in WORDS[: provider.poured + 2])


async def test_nothing_is_poured_once_the_hold_has_run_out(world: World) -> None:
    async def run_out() -> None:
        runner._recorder.hold.renew(-100.0)

    provider = StubProvider([*WORDS[:3], run_out, *WORDS[3:5], THE_END], pours=True)
    runner = await world.runner(provider)
    with suppress(ProcessLost):
        async with asyncio.timeout(DEADLINE):
            await runner.execute()
    assert provider.poured == 2
