"""A process that dies at a point that a test names."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Literal
from uuid import UUID

from retinue.db.session import Database, Unit
from retinue.domain.runs import Run
from tests.unit.runs.acting.story import office_with
from tests.unit.runs.acting.tools import StubTool
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, Step
from tests.unit.runs.process import Process

Side = Literal["before", "after"]


class MortalDatabase(Database):
    """Its user stands still at the nth writing unit, before it begins or after its commit."""

    stops_at: int
    side: Side
    gate: Gate
    units: int

    def unit(
        self, tenant_id: UUID, *, read_only: bool = False, is_durable: bool = False
    ) -> AbstractAsyncContextManager[Unit]:
        unit = super().unit(tenant_id, read_only=read_only, is_durable=is_durable)
        return unit if read_only else self._until_death(unit)

    @asynccontextmanager
    async def _until_death(self, unit: AbstractAsyncContextManager[Unit]) -> AsyncGenerator[Unit, None]:
        self.units += 1
        dies = self.units == self.stops_at
        if dies and self.side == "before":
            await self.gate()
        async with unit as opened:
            yield opened
        if dies and self.side == "after":
            await self.gate()


@asynccontextmanager
async def mortal(
    world: World, *calls: list[Step], stops_at: int, side: Side, tools: Sequence[StubTool]
) -> AsyncIterator[tuple[Process, Gate]]:
    """A process, and the gate at which it stands still."""
    database = MortalDatabase.connect(world.database._engine.url.render_as_string(hide_password=False))
    assert isinstance(database, MortalDatabase)
    database.stops_at, database.side, database.gate, database.units = stops_at, side, Gate(), 0
    office = await office_with(world, *calls, name="first", tools=tools, database=database)
    try:
        yield office, database.gate
    finally:
        database.gate.opened.set()
        await office.close()
        await database.aclose()


async def dies(process: Process, run: Run) -> None:
    """It stands still for longer than its lease, wherever it is."""
    if process.supervisor.runs(run.id):
        process.runner(run).renew(asked_at=float("-inf"))
    async with process.world.database.operator() as operator:
        await operator.renew_leases(process.lease.owner, [run.id], -1)
