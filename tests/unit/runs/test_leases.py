"""A process holds exactly the runs that it runs."""

from collections.abc import Iterable
from uuid import UUID

from retinue.domain.runs import Run, RunStatus
from retinue.jobs.leases import tend
from retinue.runs.lease import Lease
from retinue.runs.supervisor import Supervisor
from tests.unit.runs.conftest import World

OURS = Lease(owner="test", seconds=60)
THEIRS = Lease(owner="another process", seconds=60)


class Holding(Supervisor):
    """A supervisor that runs what it is said to run."""

    def __init__(self, *runs: Run) -> None:
        super().__init__(max_active=10)
        self.held = frozenset(run.id for run in runs)
        self.lost: set[UUID] = set()

    @property
    def active_ids(self) -> frozenset[UUID]:
        return self.held

    def lose(self, run_ids: Iterable[UUID]) -> None:
        self.lost |= set(run_ids)


async def test_what_runs_here_is_kept_however_late_the_renewal_comes(world: World) -> None:
    run = await world.run(lease_seconds=-1)
    supervisor = Holding(run)
    await tend(world.database, OURS, supervisor)
    await tend(world.database, THEIRS, Holding())
    assert (await world.run_now(run)).status is RunStatus.RUNNING
    assert not supervisor.lost


async def test_what_was_given_up_here_is_not_held_for_ever(world: World) -> None:
    """Its end could not be stored. The process lives on, but may not keep the conversation busy."""
    run = await world.run(lease_seconds=-1)
    await tend(world.database, OURS, Holding())
    ended = await world.run_now(run)
    assert (ended.status, ended.error_code) == (RunStatus.FAILED, "process_lost")


async def test_what_was_taken_over_or_deleted_is_stopped(world: World) -> None:
    kept, taken, deleted = [await world.run(lease_seconds=seconds) for seconds in (60, -1, 60)]
    await tend(world.database, THEIRS, Holding())
    async with world.database.unit(deleted.tenant_id) as unit:
        await unit.conversations.delete(deleted.conversation_id)
    supervisor = Holding(kept, taken, deleted)
    await tend(world.database, OURS, supervisor)
    assert supervisor.lost == {taken.id, deleted.id}
