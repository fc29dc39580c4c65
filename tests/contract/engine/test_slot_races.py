"""Bounds on concurrent runs where transactions really meet: two replicas, and many at the same instant."""

import asyncio
from uuid import UUID

import pytest

from retinue.domain.errors import RateLimited
from retinue.domain.ids import new_id
from retinue.domain.limits import Party
from retinue.domain.runs import Run, RunStatus
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, Step, says
from tests.unit.runs.limiting.bounds import conversation_of_user, runs
from tests.unit.runs.process import Process

pytestmark = pytest.mark.slow

BOUND, CROWD = 10, 50


def answers(gate: Gate, count: int) -> list[list[Step]]:
    return [[gate, *says("Yes")] for _ in range(count)]


def replicas(world: World, gate: Gate, party: Party) -> tuple[Process, Process]:
    one = Process(world, *answers(gate, CROWD), name="one", bounds=runs(BOUND, party), max_active=CROWD)
    two = Process(
        world,
        *answers(gate, CROWD),
        name="two",
        bounds=runs(BOUND, party),
        max_active=CROWD,
        coordination=one.coordination,
    )
    return one, two


async def running(world: World) -> int:
    async with world.database.unit(world.tenant.id, read_only=True) as unit:
        return (await unit.limits.count_runs(key_id=None, user_id=None)).tenant


@pytest.mark.parametrize("party", ["tenant", "key", "user"])
async def test_exactly_ten_of_fifty_pass(world: World, party: Party) -> None:
    gate = Gate()
    both = replicas(world, gate, party)
    await both[0].configure()
    key_id: UUID = new_id()
    conversations = [await conversation_of_user(world, "ada") for _ in range(CROWD)]
    came = await asyncio.gather(
        *(both[n % 2].start(each, key_id=key_id) for n, each in enumerate(conversations)), return_exceptions=True
    )
    assert len([each for each in came if isinstance(each, Run)]) == BOUND
    assert {each.problem_code for each in came if isinstance(each, RateLimited)} == {"too_many_runs"}
    assert len([each for each in came if isinstance(each, RateLimited)]) == CROWD - BOUND
    assert await running(world) == BOUND
    gate.opened.set()
    for each in both:
        await each.idle()
    assert await running(world) == 0


async def test_two_dispatchers_start_no_more_than_may_run(world: World) -> None:
    """All at once, while others are asked for: each start counts before it is one."""
    gate = Gate()
    both = replicas(world, gate, "tenant")
    await both[0].configure()
    queued = [await both[n % 2].start(await world.conversation(), on_busy="enqueue") for n in range(BOUND + BOUND // 2)]
    assert await running(world) == BOUND
    gate.opened.set()
    async with asyncio.timeout(2 * DEADLINE):
        while await running(world) or [run for run in queued if await _waits(world, run)]:
            await asyncio.gather(*(each.look() for each in both))
            assert await running(world) <= BOUND


async def _waits(world: World, run: Run) -> bool:
    return (await world.run_now(run)).status is RunStatus.QUEUED
