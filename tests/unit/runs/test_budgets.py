"""What becomes of runs whose money runs out."""

import asyncio
from typing import Any

import msgspec
import pytest

from retinue.domain import events as e
from retinue.domain.budgets import Budget, Period
from retinue.domain.errors import BudgetExceeded, Conflict, ProviderReset
from retinue.domain.messages import MessageStatus
from retinue.domain.model_io import (
    Finished,
    FinishReason,
    ReasoningPiece,
    TextPiece,
    ToolCallEnded,
    ToolCallPiece,
    ToolCallStarted,
    UsageReported,
)
from retinue.domain.policy import RetryPolicy
from retinue.domain.prices import ModelPrice
from retinue.domain.runs import CallOutcome, RunStatus
from retinue.domain.usage import Usage
from retinue.runs.runner import Runner
from tests.contract.repositories.spending import a_budget
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, Step, StubProvider, says

PRICE = ModelPrice(provider="stub", model="stub-1", input_price=1_000_000, output_price=10_000_000)
"""A token of input costs a millionth, one of output ten. An answer has a hundred at most."""
EAGER = RetryPolicy(max_tries=3, base_delay=0.0, max_delay=0.0)
WORDS = [f"word{number:03} " for number in range(100)]
"""Of two tokens each."""


async def bound(world: World, limit: int, **fields: Any) -> Budget:
    async with world.database.unit(world.tenant.id) as unit:
        return await unit.budgets.add(a_budget(world.tenant.id, limit_micros=limit, soft_percent=None, **fields))


async def now(world: World, budget: Budget) -> tuple[int, int]:
    """What is spent, and what is reserved."""
    async with world.database.unit(world.tenant.id, read_only=True) as unit:
        found = await unit.budgets.get(budget.id)
    return found.spent_micros, found.reserved_micros


async def executed(world: World, provider: StubProvider, **more: Any) -> Runner:
    runner = await world.runner(provider, prices=(PRICE,), **more)
    async with asyncio.timeout(DEADLINE):
        await runner.execute()
    return runner


async def ended(world: World, runner: Runner) -> e.RunCompleted:
    event = (await world.stored(runner.run))[-1].event
    assert isinstance(event, e.RunCompleted)
    return event


@pytest.mark.parametrize("kind", ["text", "reasoning", "arguments"])
async def test_an_answer_is_cut_off_where_the_money_ends(world: World, kind: str) -> None:
    budget = await bound(world, 300)
    pieces: dict[str, list[Step]] = {
        "text": [TextPiece(word) for word in WORDS],
        "reasoning": [ReasoningPiece(word) for word in WORDS],
        "arguments": [
            ToolCallStarted(id="a", name="x"),
            *(ToolCallPiece(id="a", fragment=word) for word in WORDS),
            ToolCallEnded(id="a"),
        ],
    }
    provider = StubProvider([*pieces[kind], Finished(FinishReason.STOP)])
    runner = await executed(world, provider)
    end = await ended(world, runner)
    run, answer = await world.run_now(runner.run), await world.answer_now(runner.run)
    assert (run.status, run.finish_reason, run.error_code) == (RunStatus.COMPLETED, "budget", None)
    assert (answer.status, answer.finish_reason) == (MessageStatus.COMPLETED, "budget")
    assert (end.finish_reason, end.tool_log) == ("budget", ())
    assert provider.open_streams == 0, "the connection is closed"
    if kind == "text":
        assert answer.content == "".join(WORDS[: len(answer.content) // 8])
        assert 0 < len(answer.content) < 200
    (entry,) = await world.ledger_now(runner.run)
    assert entry.outcome is CallOutcome.ABORTED
    assert entry.cost is not None
    assert entry.cost == end.cost == run.cost
    assert await now(world, budget) == (entry.cost.micros, 0)
    a_piece = 2 * 10
    assert 300 - a_piece < entry.cost.micros <= 300 + a_piece


async def test_an_answer_that_fits_is_not_touched(world: World) -> None:
    budget = await bound(world, 10_000)
    usage = Usage(input_tokens=8, output_tokens=40)
    runner = await executed(world, StubProvider([*map(TextPiece, WORDS[:20]), UsageReported(usage), *says("")[1:]]))
    assert (await ended(world, runner)).finish_reason == "stop"
    assert await now(world, budget) == (8 + 400, 0)


async def test_the_provider_is_asked_for_as_much_as_can_be_paid(world: World) -> None:
    await bound(world, 300)
    provider = StubProvider([TextPiece("Hi"), Finished(FinishReason.LENGTH)])
    runner = await executed(world, provider)
    assert 0 < provider.requests[0].max_output_tokens < 30
    assert (await ended(world, runner)).finish_reason == "budget", "its length was bounded by nothing else"


async def test_a_server_that_goes_on_and_on_is_cut_off_where_its_answer_should_have_ended(world: World) -> None:
    budget = await bound(world, 10_000)
    provider = StubProvider([*map(TextPiece, WORDS), Finished(FinishReason.STOP)])
    runner = await executed(world, provider)
    assert provider.requests[0].max_output_tokens == 100
    assert (await ended(world, runner)).finish_reason == "length"
    spent, reserved = await now(world, budget)
    assert (spent < 1100, reserved) == (True, 0)


async def test_nothing_is_asked_where_nothing_is_left(world: World) -> None:
    budget = await bound(world, 5)
    provider = StubProvider(says("never"))
    with pytest.raises(BudgetExceeded):
        await world.runner(provider, prices=(PRICE,))
    assert provider.requests == []
    assert await now(world, budget) == (0, 0)


async def test_a_later_step_without_money_ends_the_run_with_what_it_has(world: World) -> None:
    budget = await bound(world, 1100)
    usage = UsageReported(Usage(input_tokens=100, output_tokens=98))
    call: list[Step] = [TextPiece("So far."), ToolCallStarted(id="a", name="x"), ToolCallEnded(id="a"), usage]
    provider = StubProvider([*call, Finished(FinishReason.TOOL_CALLS)])
    runner = await executed(world, provider)
    end = await ended(world, runner)
    assert (end.finish_reason, len(provider.requests), len(end.tool_log)) == ("budget", 1, 1)
    assert (await world.answer_now(runner.run)).content == "So far."
    assert [entry.step for entry in await world.ledger_now(runner.run)] == [1]
    assert await now(world, budget) == (1080, 0)


async def test_a_failed_try_gives_its_share_to_the_next(world: World) -> None:
    budget = await bound(world, 1200)
    provider = StubProvider([ProviderReset()], says("Yes"))
    runner = await executed(world, provider, retries=EAGER)
    assert (await ended(world, runner)).finish_reason == "stop"
    first, second = await world.ledger_now(runner.run)
    assert (first.cost, first.outcome) == (None, CallOutcome.FAILED)
    assert second.cost is not None
    assert await now(world, budget) == (second.cost.micros, 0)


@pytest.mark.parametrize("end", ["cancelled", "failed", "never begun", "lost"])
async def test_however_a_run_ends_it_holds_nothing_any_more(world: World, end: str) -> None:
    budget = await bound(world, 10_000)
    gate = Gate()
    after: Step = ProviderReset() if end == "failed" else gate
    runner = await world.runner(StubProvider([TextPiece("a" * 40), after]), prices=(PRICE,))
    assert (await now(world, budget))[1] > 1000
    if end == "never begun":
        runner.cancel()
    task = asyncio.create_task(runner.execute())
    if end in {"cancelled", "lost"}:
        await gate.wait_until_reached()
        getattr(runner, {"cancelled": "cancel", "lost": "lose"}[end])()
    async with asyncio.timeout(DEADLINE):
        await task
    (entry,) = await world.ledger_now(runner.run)
    assert await now(world, budget) == (entry.cost.micros if entry.cost else 0, 0)
    assert (entry.cost is None) == (end == "never begun")


async def test_a_budget_that_is_made_meanwhile_stops_the_next_step(world: World) -> None:
    gate = Gate()
    call: list[Step] = [ToolCallStarted(id="a", name="x"), ToolCallEnded(id="a"), gate]
    runner = await world.runner(StubProvider([*call, Finished(FinishReason.TOOL_CALLS)]), prices=(PRICE,))
    task = asyncio.create_task(runner.execute())
    await gate.wait_until_reached()
    budget = await bound(world, 0)
    gate.opened.set()
    async with asyncio.timeout(DEADLINE):
        await task
    assert (await ended(world, runner)).finish_reason == "budget"
    (entry,) = await world.ledger_now(runner.run)
    assert entry.cost is not None
    assert await now(world, budget) == (entry.cost.micros, 0)


async def test_a_budget_that_is_made_during_the_last_step_counts_it(world: World) -> None:
    first, gate = await bound(world, 10_000), Gate()
    provider = StubProvider([TextPiece("Yes"), gate, Finished(FinishReason.STOP)])
    runner = await world.runner(provider, prices=(PRICE,))
    task = asyncio.create_task(runner.execute())
    await gate.wait_until_reached()
    second = await bound(world, 10_000, period=Period.MONTH)
    gate.opened.set()
    async with asyncio.timeout(DEADLINE):
        await task
    (entry,) = await world.ledger_now(runner.run)
    assert entry.cost is not None
    assert [await now(world, budget) for budget in (first, second)] == [(entry.cost.micros, 0)] * 2


@pytest.mark.parametrize("weather", ["refused", "lost"])
async def test_an_end_whose_answer_gets_lost_is_booked_once(world: World, weather: Any) -> None:
    budget = await bound(world, 10_000)
    runner = await world.runner(StubProvider(says("Yes")), prices=(PRICE,))
    world.database.forecast.append(weather)
    async with asyncio.timeout(DEADLINE):
        await runner.execute()
    (entry,) = await world.ledger_now(runner.run)
    assert entry.cost is not None
    assert await now(world, budget) == (entry.cost.micros, 0)
    assert (await ended(world, runner)).finish_reason == "stop"


async def test_a_price_that_is_not_known_is_no_reason_to_spend(world: World) -> None:
    runner = await world.runner(StubProvider(says("Hi")))
    async with asyncio.timeout(DEADLINE):
        await runner.execute()
    assert (await world.run_now(runner.run)).cost is None, "unknown, where no budget asks"
    await bound(world, 10_000)
    with pytest.raises(Conflict) as caught:
        await world.runner(StubProvider())
    assert caught.value.problem_code == "price_unknown"


@pytest.mark.parametrize("price", [PRICE, msgspec.structs.replace(PRICE, input_price=0, output_price=0)])
async def test_what_costs_nothing_passes_a_budget_that_is_used_up(world: World, price: ModelPrice) -> None:
    await bound(world, 0)
    if price is PRICE:
        with pytest.raises(BudgetExceeded):
            await world.runner(StubProvider(), prices=(price,))
        return
    runner = await world.runner(StubProvider(says("Hi")), prices=(price,))
    await runner.execute()
    run = await world.run_now(runner.run)
    assert (run.finish_reason, run.cost and run.cost.micros) == ("stop", 0)


@pytest.mark.parametrize("weather", ["refused", "lost"])
async def test_an_opening_whose_answer_gets_lost_is_reserved_once(world: World, weather: Any) -> None:
    budget = await bound(world, 10_000)
    gate = Gate()
    provider = StubProvider([ProviderReset()], [gate, TextPiece("Yes"), Finished(FinishReason.STOP)])
    runner = await world.runner(provider, prices=(PRICE,), retries=EAGER)
    held = (await now(world, budget))[1]
    world.database.forecast.append(weather)
    task = asyncio.create_task(runner.execute())
    await gate.wait_until_reached()
    assert await now(world, budget) == (0, held)
    gate.opened.set()
    async with asyncio.timeout(DEADLINE):
        await task
    assert (await now(world, budget))[1] == 0


async def test_a_short_turn_still_takes_two_transactions(world: World) -> None:
    await bound(world, 10_000)
    await executed(world, StubProvider(says("Hi")))
    assert world.database.units == 1, "besides the one that started it"
