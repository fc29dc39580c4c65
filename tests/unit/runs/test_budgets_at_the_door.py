"""Money of runs that are asked for, that wait, and that are taken over."""

import asyncio
from typing import Any

import msgspec
import pytest

from retinue.domain import events as e
from retinue.domain.budgets import Subject
from retinue.domain.conversations import Conversation
from retinue.domain.errors import BudgetExceeded, Conflict
from retinue.domain.ids import new_id
from retinue.domain.messages import MessageStatus
from retinue.domain.model_io import Finished, FinishReason, TextPiece, UsageReported
from retinue.domain.prices import ModelPrice
from retinue.domain.runs import CallOutcome, RunStatus
from retinue.domain.usage import Usage
from tests.support.statements import listening
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, Step, says, until
from tests.unit.runs.process import Process
from tests.unit.runs.test_budgets import bound, now

PRICE = ModelPrice(provider="stub", model="m", input_price=1_000_000, output_price=10_000_000)
"""A token of input costs a millionth, one of output ten. An answer has a thousand at most."""
A_TURN: list[Step] = [TextPiece("Hi"), UsageReported(Usage(input_tokens=100, output_tokens=90))]
"""Costs a thousand."""
DONE = Finished(FinishReason.STOP)


async def opened(world: World, *calls: list[Step], prices: tuple[ModelPrice, ...] = (PRICE,), **more: Any) -> Process:
    office = Process(world, *calls, **more)
    await office.configure(llm_provider="stub", llm_model="m")
    async with world.database.unit(world.tenant.id) as unit:
        await unit.prices.replace(prices)
    return office


async def finish(office: Process, conversation: Conversation, **fields: Any) -> Any:
    run = await office.start(conversation, **fields)
    async with asyncio.timeout(DEADLINE):
        return await office.service.wait(run)


async def test_a_message_that_cannot_be_paid_leaves_nothing_behind(world: World) -> None:
    office = await opened(world, [*A_TURN, DONE])
    budget = await bound(world, 1005)
    await finish(office, conversation := await world.conversation())
    with pytest.raises(BudgetExceeded):
        await office.start(conversation)
    assert len(await world.messages_now(conversation.id)) == 2
    assert await now(world, budget) == (1000, 0)
    async with world.database.unit(world.tenant.id, read_only=True) as unit:
        assert len(await unit.runs.list(conversation.id, limit=9)) == 1
        assert await unit.runs.active(conversation.id) is None


async def test_a_key_and_its_user_are_known_to_run_and_ledger(world: World) -> None:
    office = await opened(world, [*A_TURN, DONE])
    budget = await bound(world, 10**6, subject=Subject.KEY, subject_id=str(key := new_id()))
    conversation = await world.conversation()
    await finish(office, conversation, key_id=key)
    async with world.database.unit(world.tenant.id, read_only=True) as unit:
        [run] = await unit.runs.list(conversation.id, limit=9)
        [entry] = await unit.ledger.list(run.id)
    assert (run.user_id, run.key_id) == (entry.user_id, entry.key_id) == (conversation.user_id, key)
    assert await now(world, budget) == (1000, 0)


FREE = msgspec.structs.replace(PRICE, input_price=0, output_price=0)


@pytest.mark.parametrize(("price", "times"), [(PRICE, 1), (FREE, 0)])
async def test_who_has_no_budget_is_asked_once_for_each_call(world: World, price: ModelPrice, times: int) -> None:
    office = await opened(world, [*A_TURN, DONE], prices=(price,))
    conversation = await world.conversation()
    with listening() as asked:
        await finish(office, conversation)
        await office.idle()
    assert sum("budgets" in each.sql for each in asked) == times


@pytest.mark.parametrize("on_busy", ["enqueue", "append", "interrupt"])
async def test_what_would_wait_is_refused_if_the_money_is_spent(world: World, on_busy: str) -> None:
    gate = Gate()
    office = await opened(world, [*A_TURN, DONE], [gate, *A_TURN, DONE])
    budget = await bound(world, 10**6)
    await finish(office, await world.conversation())
    await office.start(conversation := await world.conversation())
    await gate.wait_until_reached()
    await change(world, budget.id, 1000)
    with pytest.raises(BudgetExceeded):
        await office.start(conversation, "And?", on_busy=on_busy)
    assert len(await world.messages_now(conversation.id)) == 2
    await change(world, budget.id, 1100)
    await office.start(conversation, "And?", on_busy=on_busy)
    assert len(await world.messages_now(conversation.id)) > 2, "what is only reserved may come back"
    gate.opened.set()


async def test_an_unknown_price_is_refused_before_anything_waits(world: World) -> None:
    gate = Gate()
    office = await opened(world, [gate, *says("1")], prices=())
    await office.start(conversation := await world.conversation())
    await gate.wait_until_reached()
    await bound(world, 10**6)
    with pytest.raises(Conflict) as caught:
        await office.start(conversation, "And?", on_busy="enqueue")
    assert caught.value.problem_code == "price_unknown"
    gate.opened.set()


async def test_a_run_that_waited_until_the_money_was_gone_fails(world: World) -> None:
    gate = Gate()
    office = await opened(world, [gate, *A_TURN, DONE])
    key = new_id()
    await office.start(conversation := await world.conversation(), key_id=key)
    await gate.wait_until_reached()
    waiting = await office.start(conversation, "And?", on_busy="enqueue", key_id=key)
    budget = await bound(world, 1001, subject=Subject.KEY, subject_id=str(key))
    gate.opened.set()
    async with asyncio.timeout(DEADLINE):
        end = await office.service.wait(waiting)
    assert isinstance(end, e.RunFailed)
    assert (end.code, end.status) == ("budget_exceeded", 402)
    assert (await world.answer_now(waiting)).status is MessageStatus.FAILED
    assert await world.ledger_now(waiting) == []
    assert await now(world, budget) == (1000, 0)


async def test_whoever_takes_a_run_over_gives_back_what_it_held(world: World) -> None:
    gate = Gate()
    office = await opened(world, [TextPiece("a" * 40), gate])
    other = Process(world, [*A_TURN, DONE], name="other")
    budget = await bound(world, 10**6)
    run = await office.start(await world.conversation())
    await gate.wait_until_reached()
    await office.flush()
    held = (await now(world, budget))[1]
    await office.freeze(run)
    await other.look()
    await until(lambda: other.supervisor.active_count == 0)
    lost, done = await world.ledger_now(run)
    assert (lost.outcome, lost.error_code) == (CallOutcome.ABORTED, "process_lost")
    assert lost.cost is not None
    assert held > lost.cost.micros
    assert await now(world, budget) == (lost.cost.micros + 1000, 0)
    stored = await world.run_now(run)
    assert stored.cost is not None
    assert stored.cost.micros == lost.cost.micros + 1000
    assert done.attempt == 2


async def test_a_run_that_is_taken_over_without_money_ends_with_what_it_has(world: World) -> None:
    gate = Gate()
    office = await opened(world, [TextPiece("Said so far."), gate])
    other = Process(world, name="other")
    budget = await bound(world, 10**6)
    run = await office.start(await world.conversation())
    await gate.wait_until_reached()
    await office.flush()
    await change(world, budget.id, 0)
    await office.freeze(run)
    await other.look()
    assert other.supervisor.active_count == 0
    stored, answer = await world.run_now(run), await world.answer_now(run)
    assert (stored.status, stored.finish_reason) == (RunStatus.COMPLETED, "budget")
    assert (answer.status, answer.content) == (MessageStatus.COMPLETED, "Said so far.")
    assert other.provider.requests == []
    assert len(await world.ledger_now(run)) == 1
    assert (await now(world, budget))[1] == 0


async def change(world: World, budget_id: Any, limit: int) -> None:
    async with world.database.unit(world.tenant.id) as unit:
        current = await unit.budgets.get_for_update(budget_id)

        await unit.budgets.update(msgspec.structs.replace(current, limit_micros=limit))
