"""Fifty who want an answer at once, and money for five."""

import asyncio
from collections import Counter

import pytest

from retinue.domain.conversations import Conversation
from tests.chaos.books import all_over
from tests.chaos.money import ANSWER_TOKENS, CHUNK_MICROS, WORST_MICROS, Purse, hire_for_money
from tests.chaos.world import PATIENCE
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.talk import more_conversations
from tests.support.client import RetinueClient
from tests.support.upstream import ThreadedUpstream

pytestmark = pytest.mark.slow

CROWD = 50
WORTH = 5


async def crowd(
    world: Replicas, upstream: ThreadedUpstream, model: str, limit_micros: int
) -> tuple[list[Conversation], Purse]:
    first, purse = await hire_for_money(world.here.client(), upstream, model, limit_micros=limit_micros)
    rest = await more_conversations(world.here.client(), first, CROWD - 1)
    return [first, *rest], purse


async def ask(client: RetinueClient, conversation: Conversation) -> str:
    """How the answer has ended, or why there is none."""
    body = {"content": "Go", "respond": True}
    answer = await client.call("POST", f"/conversations/{conversation.id}/messages", body)
    if answer.status == 200:
        return str(answer.json["finish_reason"])
    problem = answer.problem(402, "budget_exceeded")
    assert problem["retryable"]
    assert int(answer.header("retry-after") or 0) > 0
    return "refused"


async def ask_all(world: Replicas, conversations: list[Conversation]) -> Counter[str]:
    clients = [server.client() for server in world]
    ends = [ask(clients[number % 2], conversation) for number, conversation in enumerate(conversations)]
    return Counter(await asyncio.gather(*ends))


async def settled(world: Replicas, purse: Purse, *, streams: int, limit_micros: int) -> int:
    """What was spent once all is over: it is what the ledger says, and no more than allowed but for a chunk each."""
    await all_over(world.here, within=PATIENCE)
    budget, used = await purse.now(), await purse.used()
    assert (budget.reserved_micros, budget.spent_micros) == (0, used["cost_micros"])
    assert used["runs"] == streams
    assert budget.spent_micros <= limit_micros + streams * CHUNK_MICROS
    return budget.spent_micros


async def test_as_many_are_answered_as_can_be_paid(world: Replicas, upstream: ThreadedUpstream) -> None:
    """The provider says as much as it may and not a word more."""
    limit = WORTH * WORST_MICROS
    conversations, purse = await crowd(world, upstream, f"tokens-{ANSWER_TOKENS // 2}-50ms", limit)
    ends = await ask_all(world, conversations)
    assert ends["stop"] >= WORTH
    assert ends["stop"] + ends["refused"] == CROWD, ends
    assert len(upstream.requests) == ends["stop"]
    await settled(world, purse, streams=ends["stop"], limit_micros=limit)


async def test_what_goes_on_and_on_is_cut_off_inside(world: Replicas, upstream: ThreadedUpstream) -> None:
    """Every provider says more than it was asked for, and the last one can only be paid in part."""
    limit = WORTH * WORST_MICROS + WORST_MICROS // 2
    conversations, purse = await crowd(world, upstream, "tokens-400-5ms", limit)
    total: Counter[str] = Counter()
    for _ in range(10):
        ends = await ask_all(world, conversations)
        total += ends
        if ends["refused"] == CROWD:
            break
    answered = total["length"] + total["budget"]
    assert answered + total["refused"] == sum(total.values()), total
    assert (total["length"], total["budget"] > 0) == (WORTH, True), total
    spent = await settled(world, purse, streams=answered, limit_micros=limit)
    assert spent > limit - CHUNK_MICROS * answered
    async with asyncio.timeout(PATIENCE):
        await asyncio.gather(*(request.closed.wait() for request in upstream.requests))
