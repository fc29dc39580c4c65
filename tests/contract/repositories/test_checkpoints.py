"""Checkpoints."""

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.ids import Position
from retinue.domain.model_io import AssistantTurn
from retinue.domain.runs import Run
from tests.contract.repositories.builders import a_checkpoint, a_run
from tests.contract.repositories.conftest import Add


async def test_steps_come_back_as_they_went_in_and_in_order(database: Database, run: Run) -> None:
    steps = [a_checkpoint(run, number) for number in (1, 2, 3)]
    async with database.unit(run.tenant_id) as unit:
        assert await unit.checkpoints.last(run.id) is None
        for step in reversed(steps):
            assert await unit.checkpoints.add(step, 1)
        assert await unit.checkpoints.list(run.id) == steps
        assert await unit.checkpoints.last(run.id) == steps[-1]


async def test_a_step_is_stored_once(database: Database, run: Run) -> None:
    async with database.unit(run.tenant_id) as unit:
        await unit.checkpoints.add(a_checkpoint(run, 1), 1)
        newer = a_checkpoint(run, 1, position=Position(2, 7), turns=(AssistantTurn(text="new"),))
        assert await unit.checkpoints.add(newer, 1)
        assert await unit.checkpoints.list(run.id) == [newer]


async def test_an_old_attempt_stores_nothing(database: Database, add_run: Add, conversation: Conversation) -> None:
    lost = await add_run(a_run(conversation), lease_seconds=-5)
    async with database.unit(lost.tenant_id) as unit:
        assert await unit.checkpoints.add(a_checkpoint(lost, 1), 1)
        await unit.runs.claim(lost.id, 1, owner="you", lease_seconds=30)
        assert not await unit.checkpoints.add(a_checkpoint(lost, 2), 1)
        assert not await unit.checkpoints.add(a_checkpoint(lost, 1, turns=()), 1)
        assert await unit.checkpoints.list(lost.id) == [a_checkpoint(lost, 1)]
        assert await unit.checkpoints.add(a_checkpoint(lost, 2), 2)
