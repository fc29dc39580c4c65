"""Reducing the logs of runs that ended long ago."""

from datetime import timedelta

import msgspec

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.ids import Position, new_id, now
from retinue.domain.runs import Run, RunStatus
from tests.contract.repositories.builders import LATER, a_checkpoint, a_run, an_end, deltas
from tests.contract.repositories.conftest import Add
from tests.contract.repositories.test_runs import END


async def test_only_the_terminal_event_stays(database: Database, run: Run) -> None:
    end = an_end(run, 6)
    async with database.unit(run.tenant_id) as unit:
        await unit.run_events.add(run.id, 1, deltas(run.id, 1, 1, 3))
        await unit.run_events.add(run.id, 1, [*deltas(run.id, 1, 4, 2), end])
        await unit.checkpoints.add(a_checkpoint(run, 1), 1)
        for _ in range(2):
            assert await unit.run_events.prune(run.id)
            assert await unit.run_events.read(run.id) == [end]
            assert await unit.run_events.read(run.id, after=Position(1, 5)) == [end]
            assert await unit.run_events.read(run.id, after=Position(1, 6)) == []
            assert await unit.run_events.last_position(run.id) == (1, 6)
            assert await unit.checkpoints.list(run.id) == []


async def test_of_several_attempts_the_last_one_ended(
    database: Database, add_run: Add, conversation: Conversation
) -> None:
    run = await add_run(a_run(conversation), lease_seconds=-5)
    end = an_end(run, 1, attempt=2)
    async with database.unit(run.tenant_id) as unit:
        await unit.run_events.add(run.id, 1, deltas(run.id, 1, 1, 9))
        await unit.runs.claim(run.id, 1, owner="you", lease_seconds=30)
        await unit.run_events.add(run.id, 2, [end])
        assert await unit.run_events.prune(run.id)
        assert await unit.run_events.read(run.id) == [end]


async def test_other_logs_stay(database: Database, add_run: Add, conversation: Conversation, run: Run) -> None:
    queued = await add_run(a_run(conversation, status=RunStatus.QUEUED))
    async with database.unit(run.tenant_id) as unit:
        await unit.run_events.add(run.id, 1, [*deltas(run.id, 1, 1, 1), an_end(run, 2)])
        await unit.run_events.add(queued.id, 1, deltas(queued.id, 1, 1, 2))
        await unit.run_events.prune(run.id)
        assert await unit.run_events.read(queued.id) == deltas(queued.id, 1, 1, 2)


async def test_a_log_without_an_end_stays(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        await unit.run_events.add(run.id, 1, deltas(run.id, 1, 1, 3))
        await unit.checkpoints.add(a_checkpoint(run, 1), 1)
        assert not await unit.run_events.prune(run.id)
        assert not await unit.run_events.prune(new_id())
        assert await unit.run_events.read(run.id) == deltas(run.id, 1, 1, 3)
        assert len(await unit.checkpoints.list(run.id)) == 1


async def test_runs_that_ended_long_ago_are_found_once(
    database: Database, add_run: Add, conversation: Conversation, run: Run
) -> None:
    minutes = {"old": 90, "older": 120, "recent": 5, "pruned": 200}
    ended = {
        name: await add_run(
            a_run(conversation, status=RunStatus.FAILED, finished_at=now() - timedelta(minutes=minutes[name]))
        )
        for name in minutes
    }
    async with database.unit(run.tenant_id) as unit:
        assert await unit.runs.mark_pruned(ended["pruned"].id)
    oldest_first = [(run.tenant_id, ended[name].id) for name in ("older", "old")]
    async with database.operator(read_only=True) as operator:
        assert await operator.prunable_runs(3600, 9) == oldest_first
        assert await operator.prunable_runs(3600, 1) == oldest_first[:1]
        assert await operator.prunable_runs(86_400, 9) == []


async def test_a_run_is_counted_as_pruned_when_it_is(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        await unit.runs.finish(run.id, 1, **END, at=LATER)
        assert await unit.runs.mark_pruned(run.id)
        stored = await unit.runs.get(run.id)
        assert stored == msgspec.structs.replace(run, **END, finished_at=LATER, ordinal=1, pruned_at=stored.pruned_at)
