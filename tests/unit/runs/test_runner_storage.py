"""What a run does when the database does not take its end."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from retinue.domain import events as e
from retinue.domain.errors import ProviderOverloaded, StreamBroken
from retinue.domain.ids import Position
from retinue.domain.messages import MessageStatus
from retinue.domain.model_io import TextPiece
from retinue.domain.policy import RetryPolicy
from retinue.domain.runs import CallOutcome, RunStatus
from retinue.runs import recorder, runner, storing
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, StubProvider, Weather, says
from tests.unit.runs.test_runner import end_of, execute


@pytest.mark.parametrize("weather", ["away", "refused", "lost"])
async def test_an_end_that_is_stored_at_the_second_try_is_told_once(
    world: World, weather: Weather, quiet: Sequence[Mapping[str, Any]]
) -> None:
    """`lost` is the hard case: the first try was committed, and only its answer did not arrive."""
    running = await world.runner(StubProvider(says("Hel", "lo")))
    world.database.forecast.append(weather)
    reader = asyncio.create_task(world.follow(running.run))
    await execute(running)
    events = await reader
    assert isinstance(end_of(events), e.RunCompleted)
    assert list(await world.stored(running.run)) == events
    assert (await world.answer_now(running.run)).content == "Hello"
    assert [line["is_stored"] for line in quiet if line["event"] == "run_ended"] == [True]
    assert [entry.outcome for entry in await world.ledger_now(running.run)] == [CallOutcome.COMPLETED]


@pytest.mark.parametrize("weather", ["away", "refused"])
async def test_an_end_that_cannot_be_stored_breaks_the_followers_off(
    world: World, weather: Weather, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storing, "PATIENCE_SECONDS", 0)
    running = await world.runner(StubProvider(says("Hello")))
    world.database.forecast.append(weather)
    await execute_and_break(world, running)
    assert (await world.run_now(running.run)).status is RunStatus.RUNNING
    assert (await world.answer_now(running.run)).status is MessageStatus.STREAMING


async def test_a_fault_of_ours_at_the_end_breaks_the_followers_off_at_once(world: World) -> None:
    running = await world.runner(StubProvider(says("Hello")))
    world.database.forecast.append("crash")
    await execute_and_break(world, running)
    assert world.database.units == 1


async def test_even_an_end_that_cannot_be_worded_breaks_the_followers_off(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half a surrogate pair has no UTF-8, so there is no digest; providers clean what they yield."""
    running = await world.runner(StubProvider(says("\ud800")))
    await execute_and_break(world, running)


async def test_a_run_that_another_process_took_over_is_not_ended_twice(world: World) -> None:
    gate = Gate()
    running = await world.runner(StubProvider([TextPiece("Hel"), gate, *says("lo")]))
    running.begin()
    task = asyncio.create_task(running.execute())
    await gate.wait_until_reached()
    async with world.database.unit(world.tenant.id) as unit:
        await unit.runs.finish(
            running.run.id, 1, status=RunStatus.FAILED, finish_reason="error", error_code="process_lost", usage=None,
            cost=None, generation_stats=None, event_count=1, text_sha256="0", at=running.run.created_at,
        )  # fmt: skip
    async with world.log.tail(running.run.tenant_id, running.run.id) as tail:
        gate.opened.set()
        async with asyncio.timeout(DEADLINE):
            await task
            while not (batch := await tail.take(Position(1, 99))).is_closed:
                pass
    assert not batch.is_broken, "followers look for the end in the database"
    assert (await world.run_now(running.run)).error_code == "process_lost"
    assert (await world.answer_now(running.run)).content == ""
    assert not any(event.is_terminal for event in await world.stored(running.run))


async def test_a_run_that_was_deleted_before_its_end_is_paid_for_and_left(
    world: World, quiet: Sequence[Mapping[str, Any]]
) -> None:
    gate = Gate()
    running = await world.runner(StubProvider([TextPiece("Hel"), gate, *says("lo")]))
    running.begin()
    task = asyncio.create_task(running.execute())
    await gate.wait_until_reached()
    async with world.database.unit(world.tenant.id) as unit:
        await unit.conversations.delete(running.run.conversation_id)
    gate.opened.set()
    async with asyncio.timeout(DEADLINE):
        await task
    assert [line["is_stored"] for line in quiet if line["event"] == "run_ended"] == [False]
    assert [entry.outcome for entry in await world.ledger_now(running.run)] == [CallOutcome.COMPLETED]


async def test_a_run_that_is_not_ours_any_more_stops_asking_the_model(world: World) -> None:
    """Its events find no place in the database; that is how it learns that the run was deleted or taken over."""
    gate = Gate()
    provider = StubProvider([TextPiece("Hel"), gate])
    running = await world.runner(provider)
    running.begin()
    task = asyncio.create_task(running.execute())
    await gate.wait_until_reached()
    async with world.database.unit(world.tenant.id) as unit:
        await unit.conversations.delete(running.run.conversation_id)
    writing = asyncio.create_task(world.writer.run())
    world.writer.notice(running._recorder, 64)
    async with asyncio.timeout(DEADLINE):
        await task
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    assert provider.open_streams == 0
    assert [entry.outcome for entry in await world.ledger_now(running.run)] == [CallOutcome.ABORTED], "still paid for"
    with pytest.raises(StreamBroken):
        await world.follow(running.run)


async def test_too_many_unstored_events_fail_the_run(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MAX_UNSTORED", 10)
    running = await world.runner(StubProvider(says(*"abcdefghijklmnop")))
    await execute(running)
    end = end_of(await world.follow(running.run))
    assert isinstance(end, e.RunFailed)
    assert end.code == "storage_failed"
    told = [event.event.delta for event in await world.stored(running.run) if isinstance(event.event, e.TextDelta)]
    assert "".join(told) == "abcdef"
    assert (await world.answer_now(running.run)).content == "abcdef", "nothing is kept that was not told"


async def test_a_retry_whose_opening_is_cut_off_is_opened_once(world: World) -> None:
    """Nobody knows whether the commit took place; it is repeated, and there is one row all the same."""
    provider = StubProvider([ProviderOverloaded()], says("Hi"))
    running = await world.runner(provider, retries=RetryPolicy(max_tries=2, base_delay=0))
    world.database.forecast.append("lost")
    await execute(running)
    end = end_of(await world.follow(running.run))
    assert isinstance(end, e.RunCompleted)
    assert [entry.outcome for entry in await world.ledger_now(running.run)] == [
        CallOutcome.FAILED,
        CallOutcome.COMPLETED,
    ]


async def execute_and_break(world: World, running: runner.Runner) -> None:
    """Followers get what was said, and then no end, neither a good nor a bad one."""
    seen: list[e.RecordedEvent] = []

    async def follow() -> None:
        async for batch in world.follower.follow(running.run.tenant_id, running.run.id):
            seen.extend(batch)

    running.begin()
    reader = asyncio.create_task(follow())
    await asyncio.sleep(0)
    async with asyncio.timeout(DEADLINE):
        await asyncio.create_task(running.execute())
        with pytest.raises(StreamBroken):
            await reader
    assert isinstance(seen[0].event, e.RunStarted)
    assert not any(event.is_terminal for event in seen)
