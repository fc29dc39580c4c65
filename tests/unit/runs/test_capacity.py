"""What a process that runs all it may, or stops, still does: whatever needs no place of its own."""

import asyncio
from typing import Any

import pytest

from retinue.domain import events as e
from retinue.domain.conversations import Conversation
from retinue.domain.errors import Conflict, Unavailable
from retinue.domain.runs import Run, RunStatus
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, says
from tests.unit.runs.logs import whole
from tests.unit.runs.process import Process
from tests.unit.runs.test_idempotency import a_key, counts
from tests.unit.runs.test_queue import begun, enqueue

pytestmark = pytest.mark.slow

POLICIES = ("reject", "enqueue", "interrupt", "append")


async def refused(office: Process, conversation: Conversation, **fields: Any) -> str:
    """The code; nothing is stored."""
    before = await counts(office.world, conversation)
    with pytest.raises(Unavailable) as caught:
        await office.start(conversation, "Refused", **fields)
    assert await counts(office.world, conversation) == before
    assert caught.value.headers["Retry-After"] == "1"
    return caught.value.problem_code


async def full(world: World, *calls: Any) -> tuple[Process, Gate, Run, Conversation]:
    """A process with one place, which is taken."""
    gate = Gate()
    office = Process(world, [gate, *says("1")], *calls, max_active=1)
    run, conversation = await begun(office, gate)
    return office, gate, run, conversation


@pytest.mark.parametrize("policy", POLICIES)
async def test_a_new_run_finds_no_place(world: World, policy: str) -> None:
    office, gate, run, _ = await full(world, says("2"))
    other = await world.conversation()
    key = a_key(other)
    assert await refused(office, other, on_busy=policy, key=key) == "too_many_runs"
    gate.opened.set()
    whole(await office.follow(run))
    await office.idle()
    whole(await office.follow(await office.start(other, on_busy=policy, key=key)))


async def test_what_runs_can_be_appended_to(world: World) -> None:
    office, gate, run, conversation = await full(world, says("2"))
    assert (await office.start(conversation, "More", on_busy="append")).id == run.id
    gate.opened.set()
    assert (whole(await office.follow(run)).finish_reason, len(office.provider.requests)) == ("stop", 2)


async def test_what_can_wait_may_wait(world: World) -> None:
    office, gate, _, conversation = await full(world, says("2"), says("3"))
    waiting = await enqueue(office, conversation, "Second", "Third")
    assert [run.status for run in waiting] == [RunStatus.QUEUED, RunStatus.QUEUED]
    gate.opened.set()
    for run in waiting:
        whole(await office.follow(run))


async def test_what_runs_can_be_interrupted_which_frees_its_place(world: World) -> None:
    office, _, run, conversation = await full(world, says("2"))
    urgent = await office.start(conversation, "Urgent", on_busy="interrupt")
    assert isinstance(whole(await office.follow(run)), e.RunCancelled)
    assert isinstance(whole(await office.follow(urgent)), e.RunCompleted)


async def test_a_busy_conversation_is_called_busy(world: World) -> None:
    office, _, _, conversation = await full(world)
    with pytest.raises(Conflict) as busy:
        await office.start(conversation, "More")
    assert busy.value.problem_code == "conversation_busy"


@pytest.mark.parametrize("is_draining", [False, True])
async def test_a_request_that_was_answered_before_gets_the_same_answer(world: World, is_draining: bool) -> None:
    """Whether its run is the one that is active, waits or has ended."""
    gate = Gate()
    office = Process(world, says("0"), [gate, *says("1")], max_active=1)
    await office.configure()
    conversation = await world.conversation()
    keys = [a_key(conversation, key=f"k-{number}") for number in range(4)]
    ended = await office.start(conversation, key=keys[0])
    whole(await office.follow(ended))
    await office.idle()
    active = await office.start(conversation, key=keys[1])
    await gate.wait_until_reached()
    waiting = await office.start(conversation, key=keys[2], on_busy="enqueue")
    appended = await office.start(conversation, key=keys[3], on_busy="append")
    assert appended.id == active.id
    if is_draining:
        office.supervisor.stop_admitting()
    before = await counts(world, conversation)
    for key, run in zip(keys, (ended, active, waiting, appended), strict=True):
        assert (await office.start(conversation, key=key, on_busy="enqueue")).id == run.id
    assert await counts(world, conversation) == before


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("is_busy", [False, True])
async def test_a_process_that_stops_takes_nothing_new(world: World, policy: str, is_busy: bool) -> None:
    """Whoever asks goes to a process that stays, and what runs here is not stopped for it."""
    gate = Gate()
    office = Process(world, [gate, *says("1")])
    run, conversation = await begun(office, gate)
    office.supervisor.stop_admitting()
    asked = conversation if is_busy else await world.conversation()
    assert await refused(office, asked, on_busy=policy, key=a_key(asked)) == "shutting_down"
    gate.opened.set()
    assert isinstance(whole(await office.follow(run)), e.RunCompleted)
    elsewhere = Process(world, says("2"), name="elsewhere")
    whole(await elsewhere.follow(await elsewhere.start(asked, on_busy=policy, key=a_key(asked))))


async def test_what_is_refused_gives_its_place_back(world: World) -> None:
    office = Process(world, says("Yes"), max_active=1)
    conversation = await world.conversation()
    for _ in range(2):
        with pytest.raises(Conflict) as caught:
            await office.start(conversation)
        assert caught.value.problem_code == "provider_not_configured"
    await office.configure()
    whole(await office.follow(await office.start(conversation)))


async def test_a_place_is_taken_once_by_many_at_the_same_instant(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate], max_active=1)
    await office.configure()
    conversations = [await world.conversation() for _ in range(5)]
    outcomes = await asyncio.gather(*(office.start(each) for each in conversations), return_exceptions=True)
    assert sum(isinstance(outcome, Run) for outcome in outcomes) == 1
    assert {outcome.problem_code for outcome in outcomes if isinstance(outcome, Unavailable)} == {"too_many_runs"}
    assert office.supervisor.active_count == 1
