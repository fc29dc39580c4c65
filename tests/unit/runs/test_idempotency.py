"""A request that is sent twice acts once."""

import asyncio
from typing import Any

import msgspec
import pytest

from retinue.domain.conversations import Conversation
from retinue.domain.errors import Conflict, InvalidRequest
from retinue.domain.idempotency import IdempotencyKey
from retinue.domain.runs import RunStatus
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import DEADLINE, Gate, says
from tests.unit.runs.logs import whole
from tests.unit.runs.process import Process


def a_key(conversation: Conversation, **changes: Any) -> IdempotencyKey:
    key = IdempotencyKey(route=f"POST /conversations/{conversation.id}/messages", key="k-1", digest="d1")
    return msgspec.structs.replace(key, **changes)


async def counts(world: World, conversation: Conversation) -> tuple[int, int]:
    async with world.database.unit(world.tenant.id, read_only=True) as unit:
        runs = await unit.runs.list(conversation.id, limit=100)
        return len(runs), len(await unit.messages.list(conversation.id, limit=100))


async def test_the_second_request_gets_the_first_one_s_run(world: World) -> None:
    office = Process(world, says("Yes"))
    await office.configure()
    key = a_key(conversation := await world.conversation())
    run = await office.start(conversation, key=key)
    assert (await office.start(conversation, key=key)).id == run.id
    whole(await office.follow(run))
    again = await office.start(conversation, key=key)
    assert (again.id, again.status) == (run.id, RunStatus.COMPLETED)
    assert await counts(world, conversation) == (1, 2)


async def test_all_at_the_same_instant_on_two_processes(world: World) -> None:
    offices = [Process(world, says("Yes"), name=name, max_active=100) for name in ("first", "second")]
    await offices[0].configure()
    key = a_key(conversation := await world.conversation())
    async with asyncio.timeout(DEADLINE):
        runs = await asyncio.gather(*(offices[number % 2].start(conversation, key=key) for number in range(20)))
    assert len({run.id for run in runs}) == 1
    whole(await offices[0].follow(runs[0]))
    assert await counts(world, conversation) == (1, 2)
    assert sum(len(office.provider.requests) for office in offices) == 1


@pytest.mark.parametrize("policy", ["enqueue", "interrupt", "append"])
async def test_whatever_became_of_the_first(world: World, policy: str) -> None:
    gate = Gate()
    office = Process(world, [gate], says("Yes"))
    await office.configure()
    key = a_key(conversation := await world.conversation())
    await office.start(conversation)
    await gate.wait_until_reached()
    run = await office.start(conversation, "More", key=key, on_busy=policy)
    before = await counts(world, conversation)
    assert (await office.start(conversation, "More", key=key, on_busy=policy)).id == run.id
    assert await counts(world, conversation) == before


async def test_another_request_under_the_same_key_is_refused(world: World) -> None:
    office = Process(world, says("Yes"))
    await office.configure()
    key = a_key(conversation := await world.conversation())
    whole(await office.follow(await office.start(conversation, key=key)))
    for act in (
        office.start(conversation, key=msgspec.structs.replace(key, digest="d2")),
        office.service.store_message(world.tenant.id, conversation.id, "Hi", msgspec.structs.replace(key, digest="d2")),
    ):
        with pytest.raises(InvalidRequest) as refused:
            await act
        assert refused.value.problem_code == "idempotency_key_reused"
    assert await counts(world, conversation) == (1, 2)


async def test_what_was_refused_leaves_the_key_free(world: World) -> None:
    office = Process(world, says("Yes"))
    key = a_key(conversation := await world.conversation())
    with pytest.raises(Conflict):
        await office.start(conversation, key=key)
    await office.configure()
    whole(await office.follow(await office.start(conversation, key=msgspec.structs.replace(key, digest="d2"))))


async def test_a_stored_message_is_answered_with_itself(world: World) -> None:
    office = Process(world)
    key = a_key(conversation := await world.conversation())
    store = office.service.store_message
    once = await store(world.tenant.id, conversation.id, "Hi", key)
    assert await store(world.tenant.id, conversation.id, "Hi", key) == once
    assert await counts(world, conversation) == (0, 1)
    other = await store(world.tenant.id, conversation.id, "Hi", msgspec.structs.replace(key, key="k-2"))
    assert other.id != once.id
