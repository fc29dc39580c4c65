"""A process that lost a run without knowing it: nothing it does is seen or kept any more."""

import asyncio

import pytest

from retinue.domain.errors import ProviderOverloaded, Unavailable
from retinue.domain.ids import START
from retinue.domain.messages import MessageStatus
from retinue.domain.model_io import TextPiece
from retinue.domain.policy import RetryPolicy
from retinue.domain.runs import CallOutcome, Run, RunStatus
from retinue.runs import recovery
from retinue.runs.lease import clock
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, Step, says
from tests.unit.runs.logs import whole
from tests.unit.runs.process import Process, Published
from tests.unit.runs.test_runner import asks_for_tools

pytestmark = pytest.mark.slow


async def frozen(office: Process, gate: Gate) -> Run:
    await office.configure()
    run = await office.start(await office.world.conversation())
    await gate.wait_until_reached()
    await office.flush()
    await office.freeze(run)
    return run


async def state(world: World, run: Run) -> list[object]:
    """All that is stored of a run."""
    return [
        await world.run_now(run),
        await world.messages_now(run.conversation_id),
        list(await world.stored(run)),
        list(await world.checkpoints_now(run)),
        list(await world.ledger_now(run)),
    ]


async def test_a_process_that_wakes_up_says_and_stores_nothing(world: World) -> None:
    gate = Gate()
    first = Process(world, [TextPiece("Hel"), gate, *says("lo")], name="first")
    second = Process(world, says("Good day"), name="second")
    log = Published(first)
    run = await frozen(first, gate)
    said = list(log.said)
    await second.look()
    whole(await second.follow(run))
    before = await state(world, run)
    gate.opened.set()
    await first.idle()
    await first.flush()
    assert (await state(world, run), log.said) == (before, said)
    assert first.provider.open_streams == 0


async def test_its_tool_results_and_its_next_step_neither(world: World) -> None:
    gate = Gate()
    script: list[Step] = [gate, *asks_for_tools()]
    first = Process(world, script, says("never"), name="first")
    second = Process(world, says("Good day"), name="second")
    run = await frozen(first, gate)
    await second.look()
    whole(await second.follow(run))
    before = await state(world, run)
    gate.opened.set()
    await first.idle()
    assert await state(world, run) == before
    assert len(first.provider.requests) == 1


async def test_while_a_retry_waits_the_provider_is_not_asked_again(world: World) -> None:
    gate = Gate()

    async def fails() -> None:
        await gate()
        raise ProviderOverloaded

    retries = RetryPolicy(max_tries=3, base_delay=0.0)
    first = Process(world, [fails], says("never"), name="first", retries=retries)
    second = Process(world, says("Good day"), name="second")
    run = await frozen(first, gate)
    await second.look()
    whole(await second.follow(run))
    before = await state(world, run)
    gate.opened.set()
    await first.idle()
    assert await state(world, run) == before
    assert len(first.provider.requests) == 1


async def test_before_anybody_else_has_noticed_it_is_silent_too(world: World) -> None:
    """It cannot know; so it lets go, and the run goes on elsewhere, or here."""
    gate = Gate()
    first = Process(world, [TextPiece("Hel"), gate, *says("lo")], says("Good day"), name="first")
    log = Published(first)
    run = await frozen(first, gate)
    said = list(log.said)
    gate.opened.set()
    await first.idle()
    assert log.said == said
    assert (await world.run_now(run)).status is RunStatus.RUNNING
    assert [entry.outcome for entry in await world.ledger_now(run)] == [CallOutcome.ABORTED], "the money is spent"
    await first.look()
    whole(await first.follow(run))
    assert (await world.answer_now(run)).content == "Good day"


async def test_the_database_fences_whoever_still_believes_in_its_hold(world: World) -> None:
    """Its clock is wrong: the hold says yes, the database says no."""
    gate = Gate()
    first = Process(world, [TextPiece("Hel"), gate, *says("lo")], name="first")
    second = Process(world, says("Good day"), name="second")
    await first.configure()
    run = await first.start(await world.conversation())
    await gate.wait_until_reached()
    await world.expire(run, owner="first")
    await second.look()
    events = await second.follow(run)
    before = await state(world, run)
    gate.opened.set()
    await first.idle()
    await first.flush()
    assert await state(world, run) == before
    assert await first.follow(run) == events


async def test_a_boundary_of_an_old_attempt_takes_no_message(world: World) -> None:
    gate, other = Gate(), Gate()
    first = Process(world, [gate, *asks_for_tools()], says("never"), name="first")
    second = Process(world, [other, *says("Both")], says("And this"), name="second")
    await first.configure()
    run = await first.start(conversation := await world.conversation())
    await gate.wait_until_reached()
    await world.expire(run, owner="first")
    await second.look()
    await other.wait_until_reached()
    await second.start(conversation, "More", on_busy="append")
    gate.opened.set()
    await first.idle()
    assert await world.checkpoints_now(run) == []
    assert [message.status for message in await world.messages_now(conversation.id)] == [
        MessageStatus.COMPLETED,
        MessageStatus.STREAMING,
        MessageStatus.PENDING,
    ]
    other.opened.set()
    whole(await second.follow(run))


async def test_the_writer_hears_that_a_run_is_lost(world: World) -> None:
    gate = Gate()
    first = Process(world, [TextPiece("Hel"), gate], name="first")
    second = Process(world, says("Good day"), name="second")
    await first.configure()
    run = await first.start(await world.conversation())
    await gate.wait_until_reached()
    await world.expire(run, owner="first")
    await second.look()
    whole(await second.follow(run))
    await first.flush()
    async with asyncio.timeout(DEADLINE):
        await first.idle()
    assert first.provider.open_streams == 0


async def test_a_take_over_that_took_longer_than_the_lease_begins_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate()
    first = Process(world, [gate], name="first")
    second = Process(world, says("never"), name="second")
    third = Process(world, says("Good day"), name="third")
    run = await frozen(first, gate)
    log = Published(second)
    with monkeypatch.context() as late:
        late.setattr(recovery, "clock", lambda: clock() - 61)
        await second.look()
    assert (second.provider.requests, log.said, second.supervisor.active_count) == ([], [], 0)
    async with asyncio.timeout(DEADLINE), second.coordination.log.tail(run.tenant_id, run.id) as tail:
        assert (await tail.take(START)).is_closed, "nobody waits for what is not here"
    await world.expire(run, owner="second")
    await third.look()
    whole(await third.follow(run))


@pytest.mark.parametrize("which", ["start", "start_next", "take_over"])
async def test_a_start_whose_answer_got_lost_is_found_when_its_lease_runs_out(world: World, which: str) -> None:
    """Nobody knows whether the commit took place; it did."""
    gate = Gate()
    office = Process(world, [gate, *says("x")], says("Good day"), says("Good day"))
    await office.configure()
    conversation = await world.conversation()
    if which == "start":
        gate.opened.set()
        world.database.forecast.append("lost")
        with pytest.raises(Unavailable):
            await office.start(conversation)
    elif which == "take_over":
        lost = await office.start(conversation)
        await gate.wait_until_reached()
        await office.freeze(lost)
        gate.opened.set()
        await office.idle()
        world.database.forecast.append("lost")
        await office.look()
    else:
        elsewhere = Process(world, name="elsewhere")
        first = await office.start(conversation)
        await gate.wait_until_reached()
        await elsewhere.start(conversation, "More", on_busy="enqueue")
        gate.opened.set()
        whole(await office.follow(first))
        await office.idle()
        world.database.forecast.append("lost")
        await office.dispatcher.start_next(first.tenant_id, conversation.id)
    async with world.database.unit(world.tenant.id, read_only=True) as unit:
        run = await unit.runs.active(conversation.id)
    assert run is not None
    assert office.supervisor.active_count == 0
    await world.expire(run, owner="office")
    await office.look()
    whole(await office.follow(run))
    assert (await world.run_now(run)).attempt == run.attempt + 1
