"""Requests to one conversation wait for each other, and for nothing else, and without a connection."""

import asyncio
from functools import partial
from uuid import UUID

import pytest

from retinue.domain.errors import Unavailable
from retinue.domain.ids import new_id
from retinue.domain.runs import RunStatus
from retinue.runs import turnstile
from retinue.runs.turnstile import Turnstile
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, says, until
from tests.unit.runs.process import Process

HERE, THERE = new_id(), new_id()


class Crowd:
    """Those who want through, and who is in."""

    def __init__(self) -> None:
        self.turnstile = Turnstile()
        self.inside: list[str] = []
        self.passed: list[str] = []
        self.gates: dict[str, Gate] = {}

    async def come(self, name: str, to: UUID = HERE) -> "asyncio.Task[None]":
        """One who is in, or at the end of the line."""
        self.gates[name] = Gate()
        task = asyncio.create_task(self._pass(name, to))
        for _ in range(3):
            await asyncio.sleep(0)
        return task

    async def _pass(self, name: str, to: UUID) -> None:
        async with self.turnstile.through(to):
            self.inside.append(name)
            try:
                await self.gates[name]()
            finally:
                self.inside.remove(name)
        self.passed.append(name)

    async def let(self, *names: str) -> None:
        """These leave, one after the other; each must be in."""
        for name in names:
            await self.gates[name].wait_until_reached()
            self.gates[name].opened.set()
            await until(partial(self.passed.__contains__, name))

    @property
    def is_empty(self) -> bool:
        return not self.turnstile._locks and not self.turnstile._waiting


@pytest.fixture
def crowd() -> Crowd:
    return Crowd()


async def test_one_at_a_time_in_the_order_in_which_they_came(crowd: Crowd) -> None:
    for name in "abc":
        await crowd.come(name)
    assert crowd.inside == ["a"]
    await crowd.let("a")
    await crowd.come("d")
    assert crowd.inside == ["b"]
    await crowd.let("b", "c", "d")
    assert crowd.passed == ["a", "b", "c", "d"]
    assert crowd.is_empty


async def test_nobody_waits_for_another_conversation(crowd: Crowd) -> None:
    await crowd.come("a")
    await crowd.come("b")
    await crowd.come("c", to=THERE)
    assert crowd.inside == ["a", "c"]
    await crowd.let("c")
    assert not crowd.is_empty
    await crowd.let("a", "b")
    assert crowd.is_empty


async def test_who_fails_lets_the_next_in(crowd: Crowd) -> None:
    async def fail() -> None:
        async with crowd.turnstile.through(HERE):
            await crowd.come("b")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    await crowd.let("b")
    assert crowd.is_empty


@pytest.mark.parametrize("gone", ["a", "b", "c"])
async def test_who_goes_away_leaves_no_trace(crowd: Crowd, gone: str) -> None:
    """The one who is in, one in the middle, the last one."""
    tasks = {name: await crowd.come(name) for name in "abc"}
    tasks[gone].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[gone]
    rest = [name for name in "abc" if name != gone]
    await crowd.let(*rest)
    assert crowd.passed == rest
    assert crowd.is_empty


async def test_all_who_wait_go_away(crowd: Crowd) -> None:
    await crowd.come("a")
    waiting = [await crowd.come(name) for name in "bc"]
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    later = await crowd.come("d")
    assert crowd.inside == ["a"], "who comes later must not pass by the one who is in"
    await crowd.let("a", "d")
    await later
    assert crowd.is_empty


async def test_a_conversation_that_is_stuck_holds_one_connection(world: World) -> None:
    """However many ask, and those who ask elsewhere do not notice."""
    office = Process(world, says("Yes"), says("Yes"), max_active=100)
    await office.configure()
    stuck, other = await world.conversation(), await world.conversation()
    world.database.hold, world.database.units = (row := Gate()), 0
    asking = [asyncio.create_task(office.start(stuck, on_busy="enqueue")) for _ in range(12)]
    storing = [asyncio.create_task(office.service.store_message(world.tenant.id, stuck.id, "Hi")) for _ in range(3)]
    await row.wait_until_reached()
    for _ in range(20):
        await asyncio.sleep(0)
    assert world.database.units == 1
    world.database.hold = None
    async with asyncio.timeout(DEADLINE):
        assert (await office.start(other)).status is RunStatus.RUNNING
    row.opened.set()
    async with asyncio.timeout(DEADLINE):
        runs = await asyncio.gather(*asking)
        await asyncio.gather(*storing, return_exceptions=True)
    assert [run.position for run in runs] == sorted(run.position for run in runs)
    await until(lambda: not office.service._turnstile._locks)


async def test_nobody_waits_for_ever(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    first = await crowd.come("first")
    monkeypatch.setattr(turnstile, "WAIT_SECONDS", 0.0)
    late = await crowd.come("late")
    async with asyncio.timeout(DEADLINE):
        with pytest.raises(Unavailable) as caught:
            await late
    assert (caught.value.problem_code, caught.value.headers) == ("storage_unavailable", {"Retry-After": "1"})
    await crowd.let("first")
    await first
    assert crowd.is_empty
