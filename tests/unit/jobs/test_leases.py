"""A process holds exactly the runs that it runs."""

import asyncio
from collections.abc import Collection, Iterable, Mapping
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest

from retinue.db.session import OperatorUnit
from retinue.domain.runs import Run
from retinue.jobs import leases
from retinue.jobs.leases import keep_leases, renew_leases
from retinue.runs.lease import Hold, Lease, clock
from retinue.runs.runner import Runner
from retinue.runs.supervisor import Supervisor
from tests.unit.runs.acting.books import ended
from tests.unit.runs.acting.story import decide_next, goes_on, office_with
from tests.unit.runs.acting.tools import a_write, wants
from tests.unit.runs.conftest import LEASE, World
from tests.unit.runs.doubles import DEADLINE, Gate, says
from tests.unit.runs.logs import whole
from tests.unit.runs.process import Process

THEIRS = Lease(owner="another process", seconds=60)


class Holding(Supervisor):
    """A supervisor that runs what it is said to run."""

    def __init__(self, *runs: Run) -> None:
        super().__init__(max_active=10)
        self.held: dict[UUID, Any] = {run.id: SimpleNamespace(run=run) for run in runs}
        self.lost: set[UUID] = set()
        self.renewed: dict[UUID, float] = {}

    @property
    def runners(self) -> Mapping[UUID, Runner]:
        return self.held

    def renew(self, run_ids: Iterable[UUID], asked_at: float) -> None:
        self.renewed |= dict.fromkeys(run_ids, asked_at)

    def lose(self, runners: Iterable[Runner]) -> None:
        self.lost |= {runner.run.id for runner in runners}


async def claimed(world: World, run: Run) -> bool:
    async with world.database.unit(run.tenant_id) as unit:
        return await unit.runs.claim(run.id, 1, owner=THEIRS.owner, lease_seconds=60) is not None


async def test_what_runs_here_is_kept_however_late_the_renewal_comes(world: World) -> None:
    run = await world.run(lease_seconds=-1)
    supervisor, before = Holding(run), clock()
    await renew_leases(world.database, LEASE, supervisor)
    assert not await claimed(world, run)
    assert not supervisor.lost
    assert before <= supervisor.renewed[run.id] <= clock()


async def test_the_hold_counts_from_before_the_database_was_asked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = Holding(run := await world.run())
    renew = OperatorUnit.renew_leases
    asked: list[float] = []

    async def listen(unit: OperatorUnit, owner: str, run_ids: Collection[UUID], seconds: float) -> frozenset[UUID]:
        asked.append(clock())
        return await renew(unit, owner, run_ids, seconds)

    monkeypatch.setattr(OperatorUnit, "renew_leases", listen)
    await renew_leases(world.database, LEASE, supervisor)
    assert supervisor.renewed[run.id] <= asked[0]


async def test_what_was_given_up_here_is_not_held_for_ever(world: World) -> None:
    """Its end could not be stored. The process lives on, but may not keep the conversation busy."""
    run = await world.run(lease_seconds=-1)
    await renew_leases(world.database, LEASE, Holding())
    assert await claimed(world, run)


async def test_what_was_taken_over_or_deleted_is_stopped(world: World) -> None:
    kept, taken, deleted = [await world.run(lease_seconds=seconds) for seconds in (60, -1, 60)]
    assert await claimed(world, taken)
    async with world.database.unit(deleted.tenant_id) as unit:
        await unit.conversations.delete(deleted.conversation_id)
    supervisor = Holding(kept, taken, deleted)
    await renew_leases(world.database, LEASE, supervisor)
    assert supervisor.lost == {taken.id, deleted.id}
    assert set(supervisor.renewed) == {kept.id}


async def test_a_run_that_was_lost_lets_go_of_its_provider(world: World) -> None:
    gate = Gate()
    first = Process(world, [gate], name="first")
    second = Process(world, says("Yes"), name="second")
    await first.configure()
    run = await first.start(await world.conversation())
    await gate.wait_until_reached()
    await world.expire(run, owner="first")
    await second.look()
    whole(await second.follow(run))
    await renew_leases(world.database, first.lease, first.supervisor)
    await first.idle()
    assert first.provider.open_streams == 0


async def test_a_run_that_comes_back_meanwhile_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It paused, was decided and resumed here, while the database was being asked about the others."""
    gate = Gate()
    office = await office_with(world, wants("send"), says("Sent."), tools=[tool := a_write("send", gate)])
    run = await office.start(await world.conversation())
    before = office.supervisor.runners
    await office.follow(run)
    await office.idle()
    assert run.id in before
    await decide_next(office)
    await gate.wait_until_reached()
    monkeypatch.setattr(type(office.supervisor), "runners", property(lambda _: before))
    await renew_leases(world.database, Lease(owner="nobody", seconds=60), office.supervisor)
    gate.opened.set()
    await goes_on(office, run)
    assert (tool.times, (await ended(world, run)).statuses) == (1, ["succeeded"])


async def test_keeping_them_survives_whatever_goes_wrong(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = 0
    goes_on = asyncio.Event()

    async def fail(*_: object) -> None:
        nonlocal rounds
        rounds += 1
        if rounds > 3:
            goes_on.set()
        raise ZeroDivisionError

    monkeypatch.setattr(leases, "renew_leases", fail)
    keeping = asyncio.create_task(keep_leases(world.database, Lease(owner="x", seconds=0), Holding()))
    async with asyncio.timeout(DEADLINE):
        await goes_on.wait()
    assert not keeping.done()
    keeping.cancel()
    await asyncio.gather(keeping, return_exceptions=True)


def test_a_hold_runs_out_by_itself_and_is_renewed_from_when_it_was_asked() -> None:
    assert Hold(60, clock()).is_held
    assert not Hold(60, clock() - 61).is_held
    hold = Hold(60, clock() - 61)
    hold.renew(clock() - 30)
    assert hold.is_held
    hold.renew(clock() - 60.5)
    assert not hold.is_held
