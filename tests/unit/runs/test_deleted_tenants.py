"""A tenant is deleted while its runs go on."""

import asyncio

from retinue.domain.ids import new_id
from retinue.domain.signals import Signal, SignalKind
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate
from tests.unit.runs.process import Process
from tests.unit.runs.test_cancellation import begun


async def test_the_runs_of_a_deleted_tenant_end_without_a_word(world: World) -> None:
    """Nothing of them can be stored any more. Those who follow are cut off, and the provider is hung up on."""
    gate = Gate()
    office, other = Process(world, [gate], name="first"), Process(world, name="second")
    run = await begun(office, gate)
    async with world.database.operator() as operator:
        await operator.tenants.delete(world.tenant.id)
    office.coordination.signals.send(Signal(SignalKind.TENANT, new_id(), new_id()))
    await asyncio.sleep(0)
    assert office.provider.open_streams == 1
    office.service.tell_tenant_deleted(world.tenant.id)
    async with asyncio.timeout(DEADLINE):
        await office.idle()
    assert office.provider.open_streams == 0
    await other.look()
    assert not other.supervisor.runs(run.id), "and nobody takes them over"
