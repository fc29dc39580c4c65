"""Whose a conversation is never changes: it is read once, and told to its own tenant only."""

import pytest

from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from retinue.runs import service
from tests.support.statements import listening
from tests.unit.runs.conftest import World
from tests.unit.runs.process import Process


async def test_it_is_read_once(world: World) -> None:
    office = Process(world)
    conversation = await world.conversation()
    with listening() as asked:
        for _ in range(3):
            assert await office.service._user_of(world.tenant.id, conversation.id) == conversation.user_id
    assert len(asked) == 1


async def test_another_tenant_is_not_told(world: World) -> None:
    office = Process(world)
    conversation = await world.conversation()
    await office.service._user_of(world.tenant.id, conversation.id)
    with pytest.raises(NotFound):
        await office.service._user_of(new_id(), conversation.id)


async def test_so_many_are_remembered_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(service, "MAX_USERS", 2)
    office = Process(world)
    for conversation in [await world.conversation() for _ in range(5)]:
        assert await office.service._user_of(world.tenant.id, conversation.id) == conversation.user_id
        assert len(office.service._users) <= 2
