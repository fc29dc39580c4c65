"""Tokens are taken before a model call, and what was not used is given back."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from retinue.coordination.base import Verdict
from retinue.domain import events as e
from retinue.domain.errors import ProviderReset, RateLimited
from retinue.domain.limits import Bounds, Limits, Party, buckets
from retinue.domain.model_io import Finished, FinishReason, TextPiece, UsageReported
from retinue.domain.policy import RetryPolicy
from retinue.domain.runs import Run, RunStatus
from retinue.domain.usage import Usage
from retinue.runs.limiting import tokens as module
from retinue.runs.limiting.slots import asker_of
from tests.unit.runs.acting.story import goes_on, office_with
from tests.unit.runs.acting.tools import a_read, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, Step, says
from tests.unit.runs.limiting.bounds import bounding, choose, conversation_of_user, status_of, stop_refilling
from tests.unit.runs.logs import whole
from tests.unit.runs.process import Process

pytestmark = pytest.mark.slow

A_LOT = 100_000
"""Of the worst case of a call in this world, a thousand are for its answer."""


def per_minute(bound: int, party: Party = "tenant") -> Limits:
    return bounding(party, tokens_per_minute=bound)


def uses(input_tokens: int, output_tokens: int) -> list[Any]:
    usage = Usage(input_tokens=input_tokens, output_tokens=output_tokens)
    return [TextPiece("Yes"), UsageReported(usage), Finished(FinishReason.STOP)]


async def left(office: Process, run: Run) -> int:
    """What the tightest bucket of the run's has."""
    held = buckets(await office.book.of(run.tenant_id), asker_of(run), "tokens")
    verdict: Verdict = await office.coordination.rates.take(held, 0, may_owe=True)
    return verdict.remaining


async def until_waiting(office: Process, run: Run) -> None:
    """Follow the run until it says that it waits for tokens."""
    async with asyncio.timeout(DEADLINE), aclosing(office.service.follow(run.tenant_id, run.id)) as batches:
        async for events in batches:
            if any(isinstance(each.event, e.StatusChanged) and each.event.stage == "waiting" for each in events):
                return


async def test_what_was_used_is_gone_and_the_rest_is_back(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *uses(700, 300)], bounds=per_minute(A_LOT))
    stop_refilling(office)
    await office.configure()
    run = await office.start(await world.conversation())
    await gate.wait_until_reached()
    assert await left(office, run) < A_LOT - 1000, "the worst case is held while the model speaks"
    gate.opened.set()
    whole(await office.follow(run))
    await office.idle()
    assert await left(office, run) == A_LOT - 1000


@pytest.mark.parametrize("how", ["cancelled", "failed", "retried"])
async def test_however_a_call_ends_it_costs_what_it_used(world: World, how: str) -> None:
    gate = Gate()
    scripts: dict[str, list[list[Step]]] = {
        "cancelled": [[gate]],
        "failed": [[ProviderReset()], [ProviderReset()]],
        "retried": [[ProviderReset()], uses(70, 30)],
    }
    office = Process(world, *scripts[how], bounds=per_minute(A_LOT), retries=RetryPolicy(max_tries=2, base_delay=0.0))
    await office.configure()
    run = await office.start(await world.conversation())
    if how == "cancelled":
        await gate.wait_until_reached()
        await office.service.cancel(run.tenant_id, run.id)
    await office.follow(run)
    await office.idle()
    assert await left(office, run) > A_LOT - 200


@pytest.mark.parametrize("party", ["tenant", "key", "user"])
async def test_an_empty_bucket_refuses_new_runs(world: World, party: Party) -> None:
    office = Process(world, uses(A_LOT, 0), says("Yes"), bounds=per_minute(1000, party))
    await office.configure()
    key_id = world.tenant.id
    asked: dict[str, Any] = {"key_id": key_id} if party == "key" else {}
    whole(await office.follow(await office.start(await conversation_of_user(world, "ada"), **asked)))
    await office.idle()
    with pytest.raises(RateLimited) as refused:
        await office.start(await conversation_of_user(world, "ada"), **asked)
    assert (refused.value.problem_code, refused.value.status) == ("token_rate_limited", 429)
    assert int(refused.value.headers["Retry-After"]) > 60
    assert party in refused.value.detail
    if party != "tenant":
        whole(await office.follow(await office.start(await conversation_of_user(world, "bob"))))


async def test_one_call_may_owe_and_no_second_one(world: World) -> None:
    """Of many runs at the same time one goes beyond the bound."""
    gate = Gate()
    office = Process(world, *[[gate, *says("Yes")] for _ in range(10)], bounds=per_minute(500))
    await office.configure()
    first = await office.start(await world.conversation())
    await gate.wait_until_reached()
    late = [office.start(await world.conversation()) for _ in range(5)]
    came = await asyncio.gather(*late, return_exceptions=True)
    assert {type(each) for each in came} == {RateLimited}
    gate.opened.set()
    whole(await office.follow(first))
    assert len(office.provider.requests) == 1


async def test_a_step_waits_for_tokens_and_says_so(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run began before the bucket was empty: what it has done is not thrown away."""
    office = await office_with(
        world, wants("look"), says("Done"), tools=[a_read("look")], bounds=per_minute(1_000), patience=60.0
    )
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    held = buckets(per_minute(1_000), asker_of(await world.run()), "tokens")
    give_back = office.coordination.rates.give_back
    # The first call comes to much more than it took.
    monkeypatch.setattr(office.coordination.rates, "give_back", lambda given, amount: give_back(given, amount - 3000))
    run = await office.start(await world.conversation())
    await until_waiting(office, run)
    assert len(office.provider.requests) == 1
    give_back(held, 5000)
    events = await goes_on(office, run)
    stages = [event.event.stage for event in events if isinstance(event.event, e.StatusChanged)]
    assert stages.count("waiting") == 1
    assert await status_of(world, run) is RunStatus.COMPLETED


async def test_nobody_waits_for_ever(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    office = await office_with(
        world, wants("look", text="So far"), tools=[a_read("look")], bounds=per_minute(1), patience=0.05
    )
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    run = await office.start(await world.conversation())
    events = await office.follow(run)
    end = events[-1].event
    assert isinstance(end, e.RunFailed)
    assert (end.code, end.status, end.retryable) == ("token_rate_limited", 429, True)
    assert (await world.answer_now(run)).content == "So far"


async def test_a_run_that_waits_for_tokens_can_be_cancelled(world: World) -> None:
    office = await office_with(world, wants("look"), tools=[a_read("look")], bounds=per_minute(1), patience=3600.0)
    run = await office.start(await world.conversation())
    await until_waiting(office, run)
    cancelled = await office.service.cancel(run.tenant_id, run.id)
    assert cancelled.status is RunStatus.CANCELLED


async def test_bounds_that_are_taken_away_bound_nobody(world: World) -> None:
    office = Process(world, uses(A_LOT, 0), says("Yes"), bounds=per_minute(1))
    await office.configure()
    whole(await office.follow(await office.start(await world.conversation())))
    await choose(office, Limits(tenant=Bounds(tokens_per_minute=0)))
    whole(await office.follow(await office.start(await world.conversation())))
