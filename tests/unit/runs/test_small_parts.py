"""Errands, wakes and the switchboard."""

import asyncio
from uuid import UUID

import pytest

from retinue.domain.errors import Unavailable
from retinue.domain.ids import new_id
from retinue.domain.signals import Signal, SignalKind
from retinue.runs.errands import Errands
from retinue.runs.wakes import Wakes
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, says, until
from tests.unit.runs.process import Process


async def test_errands_run_side_by_side_and_are_waited_for() -> None:
    errands, gates, done = Errands(), [Gate(), Gate()], list[int]()

    async def errand(number: int) -> None:
        await gates[number]()
        done.append(number)
        if number == 0:
            errands.send(errand(1), "second")

    errands.send(errand(0), "first")
    finishing = asyncio.create_task(errands.finish())
    await gates[0].wait_until_reached()
    gates[0].opened.set()
    await gates[1].wait_until_reached()
    assert not finishing.done(), "what was sent meanwhile is waited for, too"
    gates[1].opened.set()
    async with asyncio.timeout(DEADLINE):
        await finishing
    assert done == [0, 1]
    assert errands._tasks == set()


@pytest.mark.parametrize("fault", [Unavailable(), ZeroDivisionError()])
async def test_an_errand_that_fails_harms_nobody(fault: Exception) -> None:
    unhandled: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    errands = Errands()

    async def fails() -> None:
        raise fault

    errands.send(fails(), "failing")
    async with asyncio.timeout(DEADLINE):
        await errands.finish()
    assert unhandled == []


async def test_news_wake_those_who_wait_for_them() -> None:
    wakes, meant, other = Wakes(), new_id(), new_id()
    waiting = [asyncio.create_task(wakes.wait(meant, 3600)) for _ in range(3)]
    elsewhere = asyncio.create_task(wakes.wait(other, 3600))
    await asyncio.sleep(0)
    wakes.wake(new_id())
    wakes.wake(meant)
    async with asyncio.timeout(DEADLINE):
        await asyncio.gather(*waiting)
    assert not elsewhere.done()
    wakes.wake_all()
    async with asyncio.timeout(DEADLINE):
        await elsewhere
    assert wakes._watching == {}, "nothing stays behind"


async def test_without_news_the_wait_has_an_end_and_can_be_cut_short() -> None:
    wakes, conversation = Wakes(), new_id()
    async with asyncio.timeout(DEADLINE):
        await wakes.wait(conversation, 0.001)
    waiting = asyncio.create_task(wakes.wait(conversation, 3600))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    assert wakes._watching == {}


async def test_each_signal_reaches_what_it_is_for(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate])
    await office.configure()
    run = await office.start(await world.conversation())
    await gate.wait_until_reached()

    def hear(kind: SignalKind, subject: UUID, tenant_id: UUID = world.tenant.id) -> None:
        office.switchboard.hear(Signal(kind, tenant_id, subject))

    waiting = asyncio.create_task(office.wakes.wait(run.conversation_id, 3600))
    await asyncio.sleep(0)
    hear(SignalKind.CONVERSATION, run.conversation_id)
    async with asyncio.timeout(DEADLINE):
        await waiting
    assert not office.switchboard.look_around.is_set()
    hear(SignalKind.ORPHAN, new_id())
    assert office.switchboard.look_around.is_set()
    hear(SignalKind.QUEUE, new_id())
    assert office.switchboard._with_queue == set(), "only conversations with a run here are remembered"
    hear(SignalKind.CANCEL, run.id, new_id())
    hear(SignalKind.CANCEL, new_id())
    assert office.supervisor.active_count == 1
    hear(SignalKind.CANCEL, run.id)
    await office.idle()
    assert (await world.run_now(run)).finish_reason == "cancelled"


async def test_the_switchboard_remembers_no_conversation_for_ever(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate, *says("1")], *(says("x") for _ in range(3)))
    await office.configure()
    await office.start(conversation := await world.conversation())
    await gate.wait_until_reached()
    last = [await office.start(conversation, word, on_busy="enqueue") for word in "abc"][-1]
    await until(lambda: office.switchboard._with_queue == {conversation.id})
    gate.opened.set()
    await office.follow(last)
    await office.idle()
    await office.errands.finish()
    assert office.switchboard._with_queue == set()


async def test_a_reader_is_woken_by_the_end_of_a_run_here(world: World) -> None:
    office = Process(world, says("Yes"))
    await office.configure()
    conversation = await world.conversation()
    waiting = asyncio.create_task(office.wakes.wait(conversation.id, 3600))
    await asyncio.sleep(0)
    office.switchboard.run_ended(await office.start(conversation))
    async with asyncio.timeout(DEADLINE):
        await waiting
    await office.idle()
