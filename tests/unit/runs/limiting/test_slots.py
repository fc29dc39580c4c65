"""So many answers at the same time and no more, whatever way a run comes to be written."""

import asyncio
from typing import Any

import pytest

from retinue.domain.errors import RateLimited
from retinue.domain.ids import new_id
from retinue.domain.limits import PARTIES, Bounds, Limits
from retinue.domain.runs import Run, RunStatus
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, Step, says
from tests.unit.runs.limiting.bounds import choose, conversation_of_user, office_at_work, runs, status_of
from tests.unit.runs.logs import whole
from tests.unit.runs.process import Process
from tests.unit.runs.test_idempotency import a_key, counts

pytestmark = pytest.mark.slow


async def refused(office: Process, conversation: Any, **fields: Any) -> RateLimited:
    """The refusal; nothing is stored."""
    before = await counts(office.world, conversation)
    with pytest.raises(RateLimited) as caught:
        await office.start(conversation, "Refused", **fields)
    assert await counts(office.world, conversation) == before
    assert caught.value.problem_code == "too_many_runs"
    assert int(caught.value.headers["Retry-After"]) >= 1
    return caught.value


def says_after(gate: Gate) -> list[Step]:
    return [gate, *says("Yes")]


async def test_one_too_many_is_refused_until_there_is_a_slot(world: World) -> None:
    office, gate, run = await office_at_work(world, says("Second"), bounds=runs(1))
    other, key = await world.conversation(), None
    key = a_key(other)
    assert "1 answers of this tenant" in (await refused(office, other, key=key)).detail
    gate.opened.set()
    whole(await office.follow(run))
    await office.idle()
    whole(await office.follow(await office.start(other, "Second", key=key)))


async def test_nothing_is_bounded_unless_somebody_says_so(world: World) -> None:
    office, gate, run = await office_at_work(world, says("Second"))
    whole(await office.follow(await office.start(await world.conversation())))
    gate.opened.set()
    whole(await office.follow(run))


async def test_the_operators_choice_beats_the_default(world: World) -> None:
    office, gate, _ = await office_at_work(world, says("2"), says("3"), bounds=runs(1))
    await choose(office, runs(2))
    whole(await office.follow(await office.start(await world.conversation())))
    await asyncio.sleep(0)
    await choose(office, runs(0))
    whole(await office.follow(await office.start(await world.conversation())))
    gate.opened.set()


async def test_each_key_has_its_own(world: World) -> None:
    office, gate, _ = await office_at_work(world, [keys := Gate()], says("Operator's"), bounds=runs(1, "key"))
    mine, other = new_id(), new_id()
    run = await office.start(await world.conversation(), key_id=mine)
    await keys.wait_until_reached()
    assert "this key" in (await refused(office, await world.conversation(), key_id=mine)).detail
    office.provider._calls.append(says("Another key's"))
    whole(await office.follow(await office.start(await world.conversation(), key_id=other)))
    whole(await office.follow(await office.start(await world.conversation())))
    assert (await world.run_now(run)).key_id == mine
    gate.opened.set()


async def test_each_user_has_their_own_whoever_asks_for_them(world: World) -> None:
    gate = Gate()
    office = Process(world, [gate], says("For Bob"), bounds=runs(1, "user"))
    await office.configure()
    run = await office.start(await conversation_of_user(world, "ada"), key_id=new_id())
    await gate.wait_until_reached()
    assert run.user_id == "ada"
    assert "this user" in (await refused(office, await conversation_of_user(world, "ada"))).detail
    whole(await office.follow(await office.start(await conversation_of_user(world, "bob"))))


@pytest.mark.parametrize("policy", ["enqueue", "interrupt", "append"])
async def test_who_may_wait_is_answered_when_a_slot_is_free(world: World, policy: str) -> None:
    office, gate, run = await office_at_work(world, says("Second"), bounds=runs(1))
    waiting = await office.start(await world.conversation(), "Second", on_busy=policy)
    await office.errands.finish()
    await office.look()
    assert await status_of(world, waiting) is RunStatus.QUEUED
    gate.opened.set()
    whole(await office.follow(run))
    await office.idle()
    assert office.switchboard.look_around.is_set(), "the end of a run makes room for who waits elsewhere"
    await office.look()
    whole(await office.follow(waiting))


async def test_a_queue_behind_a_run_waits_for_slots_of_the_tenant(world: World) -> None:
    office, gate, _ = await office_at_work(world, [second := Gate(), *says("2")], says("3"), bounds=runs(2))
    other = await world.conversation()
    running = await office.start(other)
    await second.wait_until_reached()
    await choose(office, runs(1))
    queued = await office.start(other, "Behind", on_busy="enqueue")
    second.opened.set()
    whole(await office.follow(running))
    await office.errands.finish()
    assert await status_of(world, queued) is RunStatus.QUEUED, "one is still being written, and one may be"
    gate.opened.set()
    await office.idle()
    await office.look()
    whole(await office.follow(queued))


async def test_a_queue_never_exceeds_the_bound_and_always_moves_on(world: World) -> None:
    bound, count, most = 3, 12, 0
    office = Process(world, bounds=runs(bound), max_active=100)
    other = Process(world, name="elsewhere", coordination=office.coordination, bounds=runs(bound), max_active=100)

    async def watch() -> None:
        nonlocal most
        async with world.database.unit(world.tenant.id, read_only=True) as unit:
            most = max(most, (await unit.limits.count_runs(key_id=None, user_id=None)).tenant)

    for each in (office, other):
        each.provider._calls.extend([[watch, *says("Yes")] for _ in range(count)])
    await office.configure()
    asked = [await (office, other)[n % 2].start(await world.conversation(), on_busy="enqueue") for n in range(count)]

    async def all_over() -> bool:
        return all([(await status_of(world, run)) is RunStatus.COMPLETED for run in asked])

    async with asyncio.timeout(20):
        while not await all_over():
            await office.look()
            await other.look()
    assert 1 <= most <= bound


async def test_fifty_at_once_and_ten_may(world: World) -> None:
    gate = Gate()
    office = Process(world, *[says_after(gate) for _ in range(50)], bounds=runs(10), max_active=100)
    await office.configure()
    conversations = [await world.conversation() for _ in range(50)]
    came = await asyncio.gather(*(office.start(each) for each in conversations), return_exceptions=True)
    started = [each for each in came if isinstance(each, Run)]
    turned_away = [each for each in came if isinstance(each, RateLimited)]
    assert (len(started), len(turned_away)) == (10, 40)
    assert office.supervisor.active_count == 10


async def test_the_first_bound_that_is_reached_refuses(world: World) -> None:
    bounds = Limits(**{party: Bounds(concurrent_runs=1) for party in PARTIES})
    office, _, _ = await office_at_work(world, bounds=bounds)
    assert "this tenant" in (await refused(office, await world.conversation())).detail
