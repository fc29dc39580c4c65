"""A closed conversation is over when nothing waits in it; a run that leaves its queue meanwhile is missed by nobody."""

import asyncio
from contextvars import Context
from typing import Any, cast
from unittest.mock import AsyncMock, Mock

import msgspec
import pytest

from retinue.db.repositories.run_reads import RunReads
from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.runs import Run, RunStatus
from retinue.resources.runs.service import RunAccess
from retinue.runs.looks import Looks
from retinue.runs.service import RunService
from tests.contract.repositories.builders import a_run
from tests.unit.runs.conftest import World

pytestmark = pytest.mark.slow

READS = ("queued", "active", "next_started")


async def closed_with_a_run_that_waits(world: World) -> tuple[Conversation, Run]:
    conversation = await world.conversation()
    run = a_run(conversation, status=RunStatus.QUEUED)
    async with world.database.unit(world.tenant.id) as unit:
        await unit.runs.add(run, owner=None, lease_seconds=0)
        await unit.conversations.update(msgspec.structs.replace(conversation, status=ConversationStatus.CLOSED))
    return conversation, run


async def start(world: World, run: Run) -> None:
    async with world.database.unit(run.tenant_id) as unit:
        assert await unit.runs.start(run.id, owner="another", lease_seconds=60, ordinal=1)


def starts_after_the_first_read(monkeypatch: pytest.MonkeyPatch, world: World, run: Run) -> list[str]:
    """Whoever asks for runs first has hardly got an answer when the run starts and is committed."""
    asked: list[str] = []

    def replace(name: str) -> None:
        real = getattr(RunReads, name)

        async def read(self: RunReads, *args: Any) -> Any:
            asked.append(name)
            answer = await real(self, *args)
            if len(asked) == 1:
                await asyncio.create_task(start(world, run), context=Context())
            return answer

        monkeypatch.setattr(RunReads, name, read)

    for name in READS:
        replace(name)
    return asked


async def test_a_stream_does_not_end_before_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation, run = await closed_with_a_run_that_waits(world)
    asked = starts_after_the_first_read(monkeypatch, world, run)
    found = await Looks(world.database).next_run(world.tenant.id, conversation.id, 0)
    assert len(asked) > 1
    assert (found.run and found.run.id, found.is_last) == (run.id, False)


async def test_a_stream_begins_with_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    conversation, run = await closed_with_a_run_that_waits(world)
    tenancy = Mock(of_conversation=AsyncMock(return_value=world.tenant.id))
    access = RunAccess(database=world.database, tenancy=tenancy, runs=cast(RunService, world.follower))
    starts_after_the_first_read(monkeypatch, world, run)
    assert await access.follow_conversation(Mock(), conversation.id, None) is not None, "there is something to tell"
