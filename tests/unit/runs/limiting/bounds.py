"""Limits for tests, in few words."""

from typing import Any

from retinue.coordination.buckets import MemoryRates
from retinue.domain.conversations import Conversation
from retinue.domain.ids import now
from retinue.domain.limits import NO_BOUNDS, Bounds, Limits, Party, StoredLimits
from retinue.domain.runs import Run, RunStatus
from tests.contract.repositories.builders import a_conversation
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, Step, says
from tests.unit.runs.process import Process


def bounding(party: Party = "tenant", **bounds: int) -> Limits:
    return Limits(**{party: Bounds(**bounds)})


def runs(count: int, party: Party = "tenant") -> Limits:
    return bounding(party, concurrent_runs=count)


async def choose(office: Process, limits: Limits) -> None:
    """What the operator does; in force here at once."""
    async with office.world.database.unit(office.world.tenant.id) as unit:
        await unit.limits.put(StoredLimits(limits=limits, updated_at=now()))
    office.book.forget(office.world.tenant.id)


def change_defaults(office: Process, limits: Limits) -> None:
    """As after a start with other settings."""
    office.book.defaults, office.book._nothing_chosen = limits, NO_BOUNDS.in_force(limits)
    office.book._known.clear()


def stop_refilling(office: Process) -> None:
    """Time stands still for the buckets of this process."""
    rates = office.coordination.rates
    assert isinstance(rates, MemoryRates)
    rates._buckets._clock = lambda: 0.0


async def conversation_of_user(world: World, user_id: str) -> Conversation:
    conversation = a_conversation(world.employee, external_id=None, user_id=user_id)
    async with world.database.unit(world.tenant.id) as unit:
        await unit.conversations.add(conversation)
    return conversation


async def office_at_work(world: World, *calls: list[Step], **more: Any) -> tuple[Process, Gate, Run]:
    """A process in which one run is being written, until the gate is opened."""
    gate = Gate()
    office = Process(world, [gate, *says("First")], *calls, **more)
    await office.configure()
    run = await office.start(await world.conversation())
    await gate.wait_until_reached()
    return office, gate, run


async def status_of(world: World, run: Run) -> RunStatus:
    return (await world.run_now(run)).status
