"""The database is away, refuses, or takes something without saying so, at every transaction of a tool call."""

import asyncio
from typing import Any

import pytest

from retinue.domain import events as e
from retinue.domain.approvals import Decision
from retinue.domain.errors import StorageFailed, Unavailable
from retinue.domain.runs import RunStatus, WaitingFor
from retinue.runs import storing
from tests.unit.runs.acting.books import ended, paused, read_books
from tests.unit.runs.acting.story import (
    allow_all,
    conversation_of,
    decide,
    decide_next,
    goes_on,
    let_time_pass,
    office_with,
    pause_of,
    pending,
    started,
)
from tests.unit.runs.acting.tools import a_read, a_write, an_idempotent, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Weather, says
from tests.unit.runs.logs import kinds
from tests.unit.runs.process import Process

PASSING: list[Weather] = ["away", "refused", "lost"]
FAIR: Weather = "fair"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not taken at once is given up."""
    monkeypatch.setattr(storing, "PATIENCE_SECONDS", 0)


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("weather", PASSING)
async def test_a_storm_that_passes_while_a_read_is_planned_made_and_ended(
    world: World, weather: Weather, at: int
) -> None:
    """The transactions: the plan, the boundary, the end (the next model call's opening is not retried)."""
    tool = a_read("look")
    office = await office_with(world, wants("look", text="I look. "), says("Yes."), tools=[tool])
    run = await office.start(await world.conversation())
    world.database.forecast.extend([*[FAIR] * [0, 1, 3][at], weather, weather])
    await goes_on(office, run)
    books = await ended(world, run)
    assert (books.run.status, books.statuses, tool.times) == (RunStatus.COMPLETED, ["succeeded"], 1)


@pytest.mark.parametrize("at", range(2))
@pytest.mark.parametrize("weather", PASSING)
async def test_a_storm_that_passes_while_a_question_is_put(world: World, weather: Weather, at: int) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), says("Sent."), tools=[tool])
    run = await office.start(await world.conversation())
    world.database.forecast.extend([*[FAIR] * at, weather, weather])
    await goes_on(office, run)
    books = await paused(world, run)
    assert (len(books.approvals), kinds(books.events).count("run.paused")) == (1, 1)
    assert books.actions == ["approval.requested"]
    await allow_all(office, run)
    assert (tool.times, (await ended(world, run)).statuses) == (1, ["succeeded"])


@pytest.mark.parametrize("at", range(3))
@pytest.mark.parametrize("weather", PASSING)
@pytest.mark.parametrize("kind", [a_write, an_idempotent])
async def test_a_storm_that_passes_while_something_is_changed(
    world: World, kind: Any, weather: Weather, at: int
) -> None:
    """The transactions after the claim: the intent, the outcome, the boundary."""
    tool = kind("send")
    office = await office_with(world, wants("send"), says("Sent."), tools=[tool])
    run, _ = await started(office)
    full = Process(world, name="full", tools=[tool], max_active=0)
    await decide_next(full)
    world.database.forecast.extend([FAIR, *[FAIR] * at, weather, weather])
    await office.look()
    await goes_on(office, run)
    books = await ended(world, run)
    assert (tool.times, books.statuses, books.run.status) == (1, ["succeeded"], RunStatus.COMPLETED)
    assert books.actions.count("tool.called") in {1, 3}, "each try that was committed is written down"


async def test_an_audit_row_per_committed_intent_and_no_more(world: World) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), says("Sent."), tools=[tool])
    run, _ = await started(office)
    full = Process(world, name="full", tools=[tool], max_active=0)
    await decide_next(full)
    world.database.forecast.extend([FAIR, "refused", "away"])
    await office.look()
    await goes_on(office, run)
    assert (await ended(world, run)).actions.count("tool.called") == 1


@pytest.mark.parametrize("weather", ["away", "refused", "lost", "crash"])
async def test_a_plan_that_cannot_be_stored_fails_the_run(world: World, impatient: None, weather: Weather) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), tools=[tool])
    run = await office.start(await world.conversation())
    world.database.forecast.append(weather)
    await goes_on(office, run)
    books = await ended(world, run)
    assert (books.run.status, tool.times) == (RunStatus.FAILED, 0)
    assert (books.statuses, books.errors) == (["failed"], ["not_made"])


@pytest.mark.parametrize("weather", ["away", "refused", "lost", "crash"])
async def test_a_pause_that_cannot_be_stored_fails_the_run(world: World, impatient: None, weather: Weather) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), tools=[tool])
    run = await office.start(await world.conversation())
    world.database.forecast.extend([FAIR, weather])
    await goes_on(office, run)
    books = await ended(world, run)
    assert (books.run.status, tool.times, books.statuses) == (RunStatus.FAILED, 0, ["failed"])
    assert await pending(office) == []


@pytest.mark.parametrize("weather", ["away", "refused", "lost", "crash"])
async def test_an_intent_that_cannot_be_stored_is_not_carried_out(
    world: World, impatient: None, weather: Weather
) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), tools=[tool])
    run, _ = await started(office)
    full = Process(world, name="full", tools=[tool], max_active=0)
    await decide_next(full)
    world.database.forecast.extend([FAIR, weather])
    await office.look()
    await goes_on(office, run)
    books = await ended(world, run)
    assert (books.run.status, tool.times) == (RunStatus.FAILED, 0)
    assert (books.statuses, books.errors) == (["failed"], ["not_made"])


@pytest.mark.parametrize("weather", ["away", "refused", "lost", "crash"])
async def test_an_outcome_that_cannot_be_stored_is_told_with_the_end(
    world: World, impatient: None, weather: Weather
) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), tools=[tool])
    run, _ = await started(office)
    full = Process(world, name="full", tools=[tool], max_active=0)
    await decide_next(full)
    world.database.forecast.extend([FAIR, FAIR, weather])
    await office.look()
    await goes_on(office, run)
    books = await ended(world, run)
    assert (books.run.status, tool.times, books.statuses) == (RunStatus.FAILED, 1, ["succeeded"])


async def test_a_decision_on_a_pause_whose_commit_was_not_heard_of(world: World) -> None:
    """The pause is stored, its answer gets lost, and somebody decides before the process tries again."""
    tool = a_write("send")
    office = await office_with(world, wants("send"), says("Sent."), tools=[tool])
    other = Process(world, says("Sent."), name="other", tools=[tool], max_active=0)
    run = await office.start(await world.conversation())
    world.database.forecast.extend([FAIR, "lost"])
    retried = asyncio.Event()
    store = storing.persistently

    async def slowly(write: Any) -> Any:
        async def once_more() -> Any:
            if await pending(other):
                await decide_next(other)
                retried.set()
            return await write()

        return await store(once_more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("retinue.runs.waiting.pausing.persistently", slowly)
        await office.idle()
    assert retried.is_set()
    books = await read_books(world, run)
    assert (books.run.status, books.run.attempt, books.run.pauses) == (RunStatus.RUNNING, 1, 1)
    await office.look()
    await goes_on(office, run)
    books = await ended(world, run)
    assert (tool.times, books.statuses, kinds(books.events).count("run.paused")) == (1, ["succeeded"], 1)


@pytest.mark.parametrize("weather", PASSING)
async def test_a_decision_in_a_storm_is_told_as_such_and_can_be_repeated(world: World, weather: Weather) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), says("Sent."), tools=[tool])
    run, _ = await started(office)
    (approval_id,) = await pending(office)
    world.database.forecast.append(weather)
    with pytest.raises((Unavailable, StorageFailed)):
        await decide(office, approval_id)
    if weather == "lost":
        await office.look()
    else:
        await paused(world, run)
        await decide(office, approval_id)
    await goes_on(office, run)
    assert (tool.times, (await ended(world, run)).statuses) == (1, ["succeeded"])


@pytest.mark.parametrize("weather", PASSING)
async def test_a_sweep_in_a_storm_comes_again(world: World, weather: Weather) -> None:
    office = await office_with(world, wants("send"), tools=[a_write("send")])
    run, _ = await started(office)
    await let_time_pass(world)
    world.database.forecast.append(weather)
    assert await office.expiry.sweep() == 0
    await office.expiry.sweep()
    books = await ended(world, run)
    assert (books.run.status, books.actions.count("approval.expired")) == (RunStatus.EXPIRED, 1)


@pytest.mark.parametrize("weather", PASSING)
async def test_cancelling_a_waiting_run_in_a_storm(world: World, weather: Weather) -> None:
    office = await office_with(world, wants("send"), tools=[a_write("send")])
    run, _ = await started(office)
    world.database.forecast.append(weather)
    with pytest.raises((Unavailable, StorageFailed)):
        await office.service.cancel(run.tenant_id, run.id)
    assert (await office.service.cancel(run.tenant_id, run.id)).status is RunStatus.CANCELLED
    assert (await ended(world, run)).actions.count("run.cancelled") == 1


@pytest.mark.parametrize("weather", PASSING)
async def test_an_interrupting_message_in_a_storm(world: World, weather: Weather) -> None:
    office = await office_with(world, wants("send"), says("Stopped."), tools=[a_write("send")])
    run, _ = await started(office)
    conversation = await conversation_of(world, run)
    world.database.forecast.append(weather)
    with pytest.raises((Unavailable, StorageFailed)):
        await office.start(conversation, "Stop", on_busy="interrupt")
    status = (await world.run_now(run)).status
    assert status is (RunStatus.CANCELLED if weather == "lost" else RunStatus.WAITING)


@pytest.mark.parametrize("weather", ["away", "lost"])
async def test_going_on_in_a_storm(world: World, weather: Weather) -> None:
    """The claim fails; whoever looks next finds the run, in whatever state the storm has left it."""
    tool = a_write("send")
    office = await office_with(world, wants("send"), says("Sent."), tools=[tool])
    run, _ = await started(office)
    full = Process(world, name="full", tools=[tool], max_active=0)
    await decide_next(full)
    world.database.forecast.append(weather)
    await office.look()
    assert tool.times == 0
    if weather == "lost":
        await world.expire(run, owner=office.lease.owner)
    await office.look()
    await goes_on(office, run)
    assert (tool.times, (await ended(world, run)).statuses) == (1, ["succeeded"])


async def test_what_cannot_be_taken_up_for_another_reason_ends(world: World) -> None:
    tool = a_write("send")
    office = await office_with(world, wants("send"), tools=[tool])
    run, _ = await started(office)
    full = Process(world, name="full", tools=[tool], max_active=0)
    await decide_next(full)
    world.database.forecast.append("refused")
    await office.look()
    books = await ended(world, run)
    assert (tool.times, books.run.status, books.errors) == (0, RunStatus.FAILED, ["not_made"])


async def test_a_denial_in_a_storm(world: World) -> None:
    office = await office_with(world, wants("a", "b"), says("No."), tools=[a_write("a"), a_write("b")])
    run, _ = await started(office)
    full = Process(world, name="full", tools=office.tools, max_active=0)
    await decide_next(full, Decision.DENY)
    world.database.forecast.extend([FAIR, FAIR, "lost", "lost", "refused", "lost"])
    await office.look()
    await goes_on(office, run)
    assert (await ended(world, run)).errors == ["denied", "skipped"]


async def test_a_doubt_in_a_storm(world: World) -> None:
    office = await office_with(world, wants("send"), tools=[a_write("send", ZeroDivisionError())])
    run, _ = await started(office)
    full = Process(world, name="full", tools=office.tools, max_active=0)
    await decide_next(full)
    world.database.forecast.extend([FAIR, "lost", FAIR, "lost", "refused", "lost", FAIR])
    await office.look()
    events = await goes_on(office, run)
    assert pause_of(events).waiting_for is WaitingFor.EFFECT_UNKNOWN
    books = await paused(world, run)
    assert books.statuses == ["outcome_unknown"]
    assert isinstance(books.events[-1].event, e.RunPaused)
