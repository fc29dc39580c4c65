"""The job that finds runs without a process."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from retinue.domain.errors import Unavailable
from retinue.domain.ids import new_id
from retinue.domain.limits import Limits
from retinue.domain.runs import RunStatus
from retinue.domain.signals import Signal, SignalKind
from retinue.jobs import lookout as module
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, says, until
from tests.unit.runs.logs import whole
from tests.unit.runs.process import Process


async def test_it_looks_at_once_when_a_process_has_let_go(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL_SECONDS", 3600)
    gate = Gate()
    first = Process(world, [gate], name="first")
    second = Process(world, says("Yes"), name="second", coordination=first.coordination)
    await first.configure()
    run = await first.start(await world.conversation())
    await gate.wait_until_reached()
    looking = asyncio.create_task(second.lookout.run())
    await until(lambda: second.lookout._rounds == 1)
    await first.supervisor.drain(0)
    first.coordination.signals.send(Signal(SignalKind.ORPHAN, run.tenant_id, run.id))
    whole(await second.follow(run))
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)


async def test_it_looks_again_and_again_whatever_goes_wrong(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INTERVAL_SECONDS", 0)
    office = Process(world)
    rounds = 0

    async def fail() -> None:
        nonlocal rounds
        rounds += 1
        raise Unavailable if rounds % 2 else ZeroDivisionError

    monkeypatch.setattr(office.lookout, "look", fail)
    looking = asyncio.create_task(office.lookout.run())
    await until(lambda: rounds > 3)
    assert not looking.done()
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking


async def test_lost_and_waiting_runs_are_found_without_any_signal(world: World) -> None:
    gate = Gate()
    first = Process(world, [gate], name="first")
    second = Process(world, says("One"), says("Two"), name="second")
    await first.configure()
    run = await first.start(conversation := await world.conversation())
    waiting = await first.start(conversation, "More", on_busy="enqueue")
    await gate.wait_until_reached()
    await first.freeze(run)
    await second.look()
    whole(await second.follow(run))
    await second.idle()
    await second.look()
    whole(await second.follow(waiting))


async def test_a_queue_that_cannot_be_started_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    gates = [Gate(), Gate()]
    first = Process(world, *([gate, *says("x")] for gate in gates), name="first")
    office = Process(world, says("Yes"), says("Yes"), name="office")
    elsewhere = Process(world, name="elsewhere")
    await first.configure()
    conversations = [await world.conversation() for _ in range(2)]
    for conversation in conversations:
        await first.start(conversation)
    waiting = [await elsewhere.start(conversation, "More", on_busy="enqueue") for conversation in conversations]
    for gate in gates:
        await gate.wait_until_reached()
        gate.opened.set()
    await first.idle()
    lock = office.dispatcher._lock_next

    async def fails(unit: Any, conversation_id: UUID, limits: Limits | None) -> object:
        if conversation_id == conversations[0].id:
            raise ZeroDivisionError
        return await lock(unit, conversation_id, limits)

    monkeypatch.setattr(office.dispatcher, "_lock_next", fails)
    await office.look()
    whole(await office.follow(waiting[1]))
    assert (await world.run_now(waiting[0])).status is RunStatus.QUEUED


async def test_a_run_that_is_to_be_cancelled_is_found(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate])
    await office.configure()
    run = await office.start(await world.conversation())
    await gate.wait_until_reached()
    async with world.database.unit(run.tenant_id) as unit:
        await unit.runs.request_cancel(run.id)
    await office.look()
    await office.idle()
    assert (await world.run_now(run)).status is RunStatus.CANCELLED


async def test_a_process_that_stops_looks_for_nothing_new(world: World) -> None:
    gate = Gate()
    first = Process(world, [gate], name="first")
    second = Process(world, says("never"), name="second")
    await first.configure()
    run = await first.start(await world.conversation())
    await gate.wait_until_reached()
    await first.freeze(run)
    second.supervisor.stop_admitting()
    await second.look()
    assert (await world.run_now(run)).attempt == 1
    async with asyncio.timeout(DEADLINE):
        await second.supervisor.drain(0)


@pytest.mark.parametrize("is_alone", [True, False])
async def test_who_is_alone_need_not_wait_for_the_leases_of_its_predecessors(world: World, is_alone: bool) -> None:
    gates = [Gate(), Gate()]
    before = Process(world, [gates[0]], name="before")
    office = Process(world, [gates[1], *says("Mine")], says("Theirs"), is_alone=is_alone)
    await before.configure()
    theirs = await before.start(await world.conversation())
    await gates[0].wait_until_reached()
    mine = await office.start(await world.conversation())
    await gates[1].wait_until_reached()
    await office.look()
    await until(lambda: len(office.provider.requests) == 1 + is_alone)
    assert [(await world.run_now(run)).attempt for run in (theirs, mine)] == [1 + is_alone, 1]
    gates[1].opened.set()
    whole(await office.follow(mine))


async def test_it_inherits_once(world: World) -> None:
    gate = Gate()
    office = Process(world, name="office", is_alone=True)
    other = Process(world, [gate], name="other")
    await office.configure()
    await office.look()
    run = await other.start(await world.conversation())
    await gate.wait_until_reached()
    await office.look()
    assert (await world.run_now(run)).attempt == 1


async def test_while_others_cannot_be_heard_who_waits_for_a_signal_is_woken(world: World) -> None:
    office = Process(world)
    rounds: list[bool] = []
    for hears in (True, False, False, True, True):
        office.hears_others = hears
        waiting = asyncio.create_task(office.wakes.wait(new_id(), 3600))
        await until(lambda: bool(office.wakes._watching))
        await office.lookout.look()
        await asyncio.sleep(0)
        rounds.append(waiting.done())
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    assert rounds == [False, True, True, True, False], "once more after they can be heard again"
