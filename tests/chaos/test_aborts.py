"""Thousands of aborts at every point of a run's life: what is bounded is all there afterwards."""

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from typing import Any

import pytest

from retinue.domain.errors import Conflict, NotFound, RateLimited, RetinueError
from retinue.domain.limits import PARTIES, Bounds, Limits
from retinue.domain.runs import Run
from retinue.runs import cancellation
from tests.chaos.sizes import SIZES
from tests.unit.runs.conftest import World, database, patience, polling, quiet, world
from tests.unit.runs.doubles import Gate, Step, says
from tests.unit.runs.limiting.bounds import conversation_of_user
from tests.unit.runs.process import Process

__all__ = ["database", "patience", "polling", "quiet", "world"]
pytestmark = pytest.mark.slow

BOUND = 6
AT_ONCE = 12


class Endless:
    """Scripts of any length, as many as are asked for."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng

    def popleft(self) -> list[Step]:
        return [self._pause, *says("One"), self._pause, *says("Two")]

    async def _pause(self) -> None:
        for _ in range(self._rng.randrange(6)):
            await asyncio.sleep(0)


class Aborts:
    """Begins runs in one process and ends them in every way but the usual one."""

    def __init__(self, office: Process, rng: random.Random) -> None:
        self._office, self._rng = office, rng
        self._key_id = office.world.employee.id
        self.done = 0
        self.refused = 0
        self._ways: list[Callable[[Run], Awaitable[object]]] = [
            self._cancel,
            self._go_away,
            self._kill,
            self._lose,
            self._hand_over,
            self._die,
        ]

    async def one(self) -> None:
        """Begin a run, and abort the request, or the run."""
        conversation = await conversation_of_user(self._office.world, "ada")
        policy = self._rng.choice(["reject", "enqueue"])
        starting = asyncio.create_task(self._office.start(conversation, key_id=self._key_id, on_busy=policy))
        if self._rng.random() < 0.4:
            await self._ticks(40)
            starting.cancel()
        try:
            run = await starting
        except RateLimited:
            self.refused += 1
            return
        except asyncio.CancelledError:
            self.done += 1
            return
        await self._ticks(20)
        with suppress(Conflict, NotFound):
            await self._rng.choice(self._ways)(run)
        self.done += 1

    async def _ticks(self, most: int) -> None:
        for _ in range(self._rng.randrange(most)):
            await asyncio.sleep(0)

    async def _cancel(self, run: Run) -> None:
        cancelling = asyncio.create_task(self._office.service.cancel(run.tenant_id, run.id))
        if self._rng.random() < 0.5:
            await self._ticks(10)
            cancelling.cancel()
        with suppress(asyncio.CancelledError):
            await cancelling

    async def _go_away(self, run: Run) -> None:
        following = asyncio.create_task(self._follow(run))
        await self._ticks(20)
        following.cancel()
        with suppress(asyncio.CancelledError, RetinueError):
            await following
        self._office.service.cancel_soon(run.tenant_id, run.id)

    async def _follow(self, run: Run) -> None:
        async with aclosing(self._office.service.follow(run.tenant_id, run.id)) as batches:
            async for _ in batches:
                pass

    async def _kill(self, run: Run) -> None:
        if task := self._office.supervisor._tasks.get(run.id):
            task.cancel()

    async def _lose(self, run: Run) -> None:
        if runner := self._office.supervisor._runners.get(run.id):
            self._office.supervisor.lose([runner])

    async def _hand_over(self, run: Run) -> None:
        if runner := self._office.supervisor._runners.get(run.id):
            runner.hand_over()

    async def _die(self, run: Run) -> None:
        """Nothing of the run is stored any more, as if its process had been killed."""
        if runner := self._office.supervisor._runners.get(run.id):
            runner.renew(asked_at=float("-inf"))
            self._office.supervisor.lose([runner])


async def used(office: Process) -> dict[str, int]:
    async with office.world.database.unit(office.world.tenant.id, read_only=True) as unit:
        found = await unit.limits.count_runs(key_id=office.world.employee.id, user_id="ada")
        queued = await unit.runs.unfinished_conversations()
    return {"tenant": found.tenant, "key": found.key, "user": found.user, "unfinished": len(queued)}


async def let_leases_run_out(office: Process) -> None:
    """Of whatever no task of this process runs any more; it takes one lease elsewhere."""
    tenant_id = office.world.tenant.id
    async with office.world.database.unit(tenant_id, read_only=True) as unit:
        conversations = await unit.runs.unfinished_conversations()
        active = [await unit.runs.active(each) for each in conversations]
    left = {run.id for run in active if run is not None} - office.supervisor.active_ids
    async with office.world.database.operator() as operator:
        await operator.renew_leases(office.lease.owner, left, -1)


async def settled(office: Process) -> dict[str, int]:
    """What is in use once everything that was aborted has been found by whoever looks for it."""
    async with asyncio.timeout(120):
        while any((found := await used(office)).values()):
            await let_leases_run_out(office)
            await office.look()
            await office.idle()
            await office.errands.finish()
    return found


async def test_no_abort_leaves_a_slot_behind(
    world: World, rng: random.Random, figure: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cancellation, "WAIT_SECONDS", 0.02)
    bounds = Limits(**{party: Bounds(concurrent_runs=BOUND) for party in PARTIES})
    office = Process(world, bounds=bounds, max_active=100)
    calls: Any = Endless(rng)
    office.provider._calls = calls
    await office.configure()
    aborts = Aborts(office, rng)
    began = asyncio.get_running_loop().time()
    while aborts.done < SIZES.aborts:
        await asyncio.gather(*(aborts.one() for _ in range(AT_ONCE)))
        assert (await used(office))["tenant"] <= 2 * BOUND, "those that wait to be found, and as many again"
        if rng.random() < 0.3:
            await let_leases_run_out(office)
            await office.look()
    assert set((await settled(office)).values()) == {0}
    assert office.supervisor._places.free == 100
    took = asyncio.get_running_loop().time() - began
    figure(f"{aborts.done} aborts ({aborts.refused} more were refused) in {took:.0f} s left nothing behind")
    await uses_all(office)


async def uses_all(office: Process) -> None:
    """The bound can be used in full, and not beyond."""
    gate = Gate()
    office.provider._calls = deque([gate, *says("Yes")] for _ in range(BOUND))
    key_id = office.world.employee.id
    for _ in range(BOUND):
        await office.start(await conversation_of_user(office.world, "ada"), key_id=key_id)
    with pytest.raises(RateLimited):
        await office.start(await conversation_of_user(office.world, "ada"), key_id=key_id)
    assert (await used(office))["tenant"] == BOUND
    gate.opened.set()
    await office.idle()
