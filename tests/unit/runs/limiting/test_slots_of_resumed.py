"""Runs that wait for a person hold no slot, and who goes on, or is found again, needs one."""

import pytest

from retinue.domain.errors import RateLimited
from retinue.domain.runs import RunStatus
from tests.unit.runs.acting.story import decide_next, give_password, goes_on, office_with, pause_of, pending, started
from tests.unit.runs.acting.tools import a_sudo, a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, says
from tests.unit.runs.limiting.bounds import change_defaults, runs, status_of
from tests.unit.runs.logs import whole
from tests.unit.runs.process import Process

pytestmark = pytest.mark.slow


async def test_a_run_that_waits_holds_no_slot(world: World) -> None:
    office = await office_with(
        world, wants("send"), says("Other"), says("Sent"), tools=[a_write("send")], bounds=runs(1)
    )
    run, events = await started(office)
    pause_of(events)
    whole(await office.follow(await office.start(await world.conversation())))
    await office.idle()
    await decide_next(office)
    await goes_on(office, run)
    assert await status_of(world, run) is RunStatus.COMPLETED


async def test_a_decision_counts_at_once_and_its_run_waits_for_a_slot(world: World) -> None:
    gate = Gate()
    office = await office_with(
        world, wants("send"), [gate, *says("Other")], says("Sent"), tools=[tool := a_write("send")], bounds=runs(1)
    )
    run, _ = await started(office)
    other = await office.start(await world.conversation())
    await gate.wait_until_reached()
    await decide_next(office)
    await office.errands.finish()
    await office.look()
    assert (await status_of(world, run), tool.times) == (RunStatus.RUNNING, 0)
    with pytest.raises(RateLimited):
        await office.start(await world.conversation())
    gate.opened.set()
    whole(await office.follow(other))
    await office.idle()
    with pytest.raises(RateLimited):  # who was decided about goes first
        await office.start(await world.conversation())
    await office.look()
    await goes_on(office, run)
    assert (await status_of(world, run), tool.times) == (RunStatus.COMPLETED, 1)


async def test_a_run_that_waits_for_its_slot_can_be_cancelled(world: World) -> None:
    gate = Gate()
    office = await office_with(world, wants("send"), [gate], tools=[a_write("send")], bounds=runs(1))
    run, _ = await started(office)
    await office.start(await world.conversation())
    await gate.wait_until_reached()
    await decide_next(office)
    await office.errands.finish()
    async with world.database.unit(run.tenant_id) as unit:
        await unit.runs.request_cancel(run.id)
    await office.look()
    assert await status_of(world, run) is RunStatus.CANCELLED


async def test_a_password_is_not_lost_where_there_is_no_slot(world: World) -> None:
    gate = Gate()
    office = await office_with(
        world, wants("sudo"), [gate, *says("Other")], says("Done"), tools=[tool := a_sudo()], bounds=runs(1)
    )
    run, _ = await started(office)
    await decide_next(office)
    events = await goes_on(office, run)
    (approval_id,) = pause_of(events).approval_ids
    other = await office.start(await world.conversation())
    await gate.wait_until_reached()
    with pytest.raises(RateLimited) as refused:
        await give_password(office, run, approval_id, "open sesame")
    assert refused.value.problem_code == "too_many_runs"
    assert await status_of(world, run) is RunStatus.WAITING
    gate.opened.set()
    whole(await office.follow(other))
    await office.idle()
    await give_password(office, run, approval_id, "open sesame")
    await goes_on(office, run)
    assert await status_of(world, run) is RunStatus.COMPLETED
    assert tool.times >= 1
    assert await pending(office) == []


async def test_a_lost_run_is_taken_up_when_there_is_a_slot(world: World) -> None:
    gate = Gate()
    gone = Process(world, [Gate()], name="gone", bounds=runs(1))
    await gone.configure()
    lost = await gone.start(await world.conversation())
    await gone.freeze(lost)
    office = Process(world, [gate, *says("Other")], says("Found"), bounds=runs(2))
    with_slot = await office.start(await world.conversation())
    await gate.wait_until_reached()
    change_defaults(office, runs(1))
    await office.look()
    assert not await office.dispatcher.resume(lost.tenant_id, lost.id)
    assert (await world.run_now(lost)).attempt == 1
    gate.opened.set()
    whole(await office.follow(with_slot))
    await office.idle()
    await office.look()
    whole(await office.follow(lost))


async def test_a_lost_run_needs_no_slot_beside_its_own(world: World) -> None:
    gone = Process(world, [Gate()], name="gone", bounds=runs(1))
    await gone.configure()
    lost = await gone.start(await world.conversation())
    await gone.freeze(lost)
    office = Process(world, says("Found"), bounds=runs(1))
    with pytest.raises(RateLimited):
        await office.start(await world.conversation())
    await office.look()
    whole(await office.follow(lost))
