"""Messages."""

from typing import Any

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.errors import NotFound, StorageFailed
from retinue.domain.ids import new_id
from retinue.domain.messages import MessageStatus, Role
from tests.contract.repositories.builders import COST, LATER, NOON, TOOL_LOG, USAGE, a_message, an_answer
from tests.contract.repositories.said import utterances

FINAL: dict[str, Any] = {
    "content": "Grüße \N{WAVING HAND SIGN}",
    "reasoning": "thought",
    "status": MessageStatus.COMPLETED,
    "finish_reason": "stop",
    "error_code": None,
    "tool_log": TOOL_LOG,
    "usage": USAGE,
    "cost": COST,
    "metadata": {"provider": "scripted", "scripted": True},
}


async def test_a_message_comes_back_as_it_went_in(database: Database, conversation: Conversation) -> None:
    message = a_message(
        conversation,
        1,
        run_id=new_id(),
        role=Role.ASSISTANT,
        reasoning="hm",
        status=MessageStatus.FAILED,
        finish_reason="error",
        error_code="provider_reset",
        tool_log=TOOL_LOG,
        usage=USAGE,
        cost=COST,
        metadata={"a": [1, {"b": None}]},
    )
    async with database.unit(conversation.tenant_id) as unit:
        await unit.messages.add(message)
        assert await unit.messages.get(message.id) == message


async def test_what_is_unknown_stays_null(database: Database, conversation: Conversation) -> None:
    message = a_message(conversation, 1)
    async with database.unit(conversation.tenant_id) as unit:
        await unit.messages.add(message)
        stored = await unit.messages.get(message.id)
    assert stored == message
    assert (stored.usage, stored.cost, stored.run_id, stored.tool_log) == (None, None, None, ())


async def test_text_that_a_database_would_refuse_is_stored_cleaned(
    database: Database, conversation: Conversation
) -> None:
    unfit = "a\x00b\ud800c"
    message = a_message(conversation, 1, content=unfit, metadata={unfit: [unfit]})
    nul = a_message(conversation, 2, metadata={"nul": "\x00"})
    async with database.unit(conversation.tenant_id) as unit:
        await unit.messages.add(message, nul)
        stored = await unit.messages.get(message.id)
        assert await unit.messages.get(nul.id) == nul
    assert stored.content == "a\ufffdb\ufffdc"
    assert "\ud800" not in str(stored.metadata)


async def test_the_list_is_oldest_first_and_goes_on(database: Database, conversation: Conversation) -> None:
    messages = [a_message(conversation, position) for position in range(1, 7)]
    async with database.unit(conversation.tenant_id) as unit:
        await unit.messages.add(*reversed(messages))
        assert await unit.messages.list(conversation.id, limit=2) == messages[:2]
        assert await unit.messages.list(conversation.id, limit=2, after=2) == messages[2:4]
        assert await unit.messages.find_position(conversation.id, messages[3].id) == 4
        assert await unit.messages.find_position(new_id(), messages[3].id) is None
        assert await unit.messages.find_position(conversation.id, new_id()) is None
        assert await unit.messages.list(new_id(), limit=9) == []


async def test_history_is_the_newest_before_a_position(database: Database, conversation: Conversation) -> None:
    messages = [a_message(conversation, position) for position in range(1, 7)]
    async with database.unit(conversation.tenant_id) as unit:
        await unit.messages.add(*messages)
        history = await unit.messages.history(conversation.id, before_position=6, max_messages=3)
    assert history == utterances(*messages[2:5])


async def test_a_position_is_taken_once(database: Database, conversation: Conversation) -> None:
    async def add_two_at_one_position() -> None:
        async with database.unit(conversation.tenant_id) as unit:
            await unit.messages.add(a_message(conversation, 1))
            await unit.messages.add(a_message(conversation, 1))

    with pytest.raises(StorageFailed):
        await add_two_at_one_position()
    async with database.unit(conversation.tenant_id, read_only=True) as unit:
        assert await unit.messages.list(conversation.id, limit=9) == []


async def test_an_answer_is_finished_once(database: Database, conversation: Conversation) -> None:
    answer = an_answer(conversation, 1)
    async with database.unit(conversation.tenant_id) as unit:
        await unit.messages.add(answer)
        assert await unit.messages.finish(answer.id, **FINAL, at=LATER)
        assert not await unit.messages.finish(answer.id, **{**FINAL, "content": "late"}, at=NOON)
        assert not await unit.messages.finish(new_id(), **FINAL, at=NOON)
        stored = await unit.messages.get(answer.id)
    assert stored == msgspec.structs.replace(answer, **FINAL, updated_at=LATER)


async def test_no_message_without_a_conversation(database: Database, conversation: Conversation) -> None:
    gone = msgspec.structs.replace(conversation, id=new_id())
    with pytest.raises(NotFound):
        async with database.unit(conversation.tenant_id) as unit:
            await unit.messages.add(a_message(gone, 1))
    async with database.unit(conversation.tenant_id, read_only=True) as unit:
        with pytest.raises(NotFound):
            await unit.messages.get(new_id())


async def test_empty_answers_take_no_place_in_the_history(database: Database, conversation: Conversation) -> None:
    said = [a_message(conversation, 1), a_message(conversation, 2)]
    async with database.unit(conversation.tenant_id) as unit:
        await unit.messages.add(*said, *(an_answer(conversation, position) for position in range(3, 9)))
        history = await unit.messages.history(conversation.id, before_position=9, max_messages=2)
    assert history == utterances(*said)
