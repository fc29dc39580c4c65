"""When a conversation has to be reopened, and how fast messages come."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation, ConversationStatus
from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from retinue.domain.messages import MessageStatus
from retinue.domain.runs import RunStatus, WaitingFor
from tests.contract.repositories.builders import NOON, a_message, a_run, an_answer, seconds_ago
from tests.contract.repositories.conftest import Add

TTL = 1800.0


async def is_expired(database: Database, conversation: Conversation, ttl: float = TTL) -> bool:
    async with database.unit(conversation.tenant_id, read_only=True) as unit:
        return (await unit.conversations.session(conversation.id, ttl)).has_expired


async def say(database: Database, conversation: Conversation, *, ago: float) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        await unit.conversations.advance(conversation.id, 1, at=seconds_ago(ago))


async def test_a_session_expires_after_its_last_message(database: Database, conversation: Conversation) -> None:
    assert not await is_expired(database, conversation, 0), "nothing was said yet"
    await say(database, conversation, ago=100)
    assert not await is_expired(database, conversation, 110)
    assert await is_expired(database, conversation, 90)
    assert await is_expired(database, conversation, 0)
    await say(database, conversation, ago=50)
    assert not await is_expired(database, conversation, 90)


async def test_the_own_ttl_of_a_conversation_comes_first(database: Database, conversation: Conversation) -> None:
    await say(database, conversation, ago=100)
    for ttl, expected in ((90, True), (110, False), (0, True), (None, False)):
        async with database.unit(conversation.tenant_id) as unit:
            await unit.conversations.update(msgspec.structs.replace(conversation, session_ttl_seconds=ttl))
        assert await is_expired(database, conversation) is expected


async def test_a_session_lasts_from_the_end_of_the_newest_run(
    database: Database, add_run: Add, conversation: Conversation
) -> None:
    await say(database, conversation, ago=9000)
    await add_run(a_run(conversation, status=RunStatus.COMPLETED, ordinal=1, finished_at=seconds_ago(8000)))
    assert await is_expired(database, conversation)
    await add_run(a_run(conversation, status=RunStatus.FAILED, ordinal=2, finished_at=seconds_ago(100)))
    assert not await is_expired(database, conversation)
    assert await is_expired(database, conversation, 90)


@pytest.mark.parametrize("status", [RunStatus.QUEUED, RunStatus.RUNNING, RunStatus.WAITING])
async def test_a_session_does_not_expire_while_a_run_is_active(
    database: Database, add_run: Add, conversation: Conversation, status: RunStatus
) -> None:
    await say(database, conversation, ago=9000)
    waiting_for = WaitingFor.APPROVAL if status is RunStatus.WAITING else None
    await add_run(a_run(conversation, status=status, waiting_for=waiting_for))
    assert not await is_expired(database, conversation)


async def test_other_conversations_do_not_keep_a_session_alive(
    database: Database, add_run: Add, conversation: Conversation
) -> None:
    await say(database, conversation, ago=9000)
    other = msgspec.structs.replace(conversation, id=new_id())
    async with database.unit(conversation.tenant_id) as unit:
        await unit.conversations.add(other)
    await say(database, other, ago=0)
    await add_run(a_run(other))
    assert await is_expired(database, conversation)


async def test_reopening_begins_a_session(database: Database, conversation: Conversation) -> None:
    await say(database, conversation, ago=9000)
    async with database.unit(conversation.tenant_id) as unit:
        stored = await unit.conversations.get(conversation.id)
        await unit.conversations.update(msgspec.structs.replace(stored, status=ConversationStatus.CLOSED))
        before = await unit.clock()
        await unit.conversations.reopen(conversation.id)
        reopened = await unit.conversations.get(conversation.id)
        assert reopened.reopened_at is not None
        assert before <= reopened.reopened_at <= await unit.clock()
    assert reopened == msgspec.structs.replace(stored, reopened_at=reopened.reopened_at)
    assert not await is_expired(database, conversation)


async def test_with_no_time_at_all_reopening_lasts_for_one_message(
    database: Database, add_run: Add, conversation: Conversation
) -> None:
    await say(database, conversation, ago=9000)
    assert await is_expired(database, conversation, 0)
    async with database.unit(conversation.tenant_id) as unit:
        await unit.conversations.reopen(conversation.id)
    assert not await is_expired(database, conversation, 0)
    async with database.unit(conversation.tenant_id) as unit:
        place = await unit.conversations.advance(conversation.id, 1)
    await add_run(a_run(conversation, status=RunStatus.COMPLETED, ordinal=1, finished_at=place.at))
    assert await is_expired(database, conversation, 0)


async def test_it_does_so_if_all_of_it_happens_at_the_same_moment(
    database: Database, conversation: Conversation
) -> None:
    """As far as the clock can tell: SQLite's knows milliseconds."""
    async with database.unit(conversation.tenant_id) as unit:
        place = await unit.conversations.advance(conversation.id, 1, at=await unit.clock() + timedelta(hours=1))
        await unit.conversations.reopen(conversation.id)
        reopened_at = (await unit.conversations.get(conversation.id)).reopened_at
        assert reopened_at is not None
        assert reopened_at > place.at
    assert not await is_expired(database, conversation, 0)
    async with database.unit(conversation.tenant_id) as unit:
        await unit.conversations.advance(conversation.id, 1, at=reopened_at)
    assert await is_expired(database, conversation, 0)


async def test_a_conversation_that_is_not_there_has_no_session(database: Database, conversation: Conversation) -> None:
    async with database.unit(conversation.tenant_id) as unit:
        with pytest.raises(NotFound):
            await unit.conversations.session(new_id(), TTL)
        with pytest.raises(NotFound):
            await unit.conversations.reopen(new_id())


async def test_a_conversation_keeps_its_ttl(database: Database, conversation: Conversation) -> None:
    other = msgspec.structs.replace(conversation, id=new_id(), session_ttl_seconds=31_536_000, reopened_at=NOON)
    async with database.unit(conversation.tenant_id) as unit:
        await unit.conversations.add(other)
        assert await unit.conversations.get(other.id) == other


async def test_recent_messages_of_users_are_counted(database: Database, conversation: Conversation) -> None:
    other = msgspec.structs.replace(conversation, id=new_id())
    oldest = seconds_ago(8)

    def sent(position: int, ago: float, **changes: Any) -> Any:
        return a_message(conversation, position, created_at=seconds_ago(ago), **changes)

    async with database.unit(conversation.tenant_id) as unit:
        await unit.conversations.add(other)
        assert await unit.messages.count_recent(conversation.id, 10) == (0, 0.0)
        await unit.messages.add(
            sent(1, 60),
            a_message(conversation, 2, created_at=oldest),
            sent(3, 5, status=MessageStatus.PENDING),
            sent(4, 7, status=MessageStatus.CANCELLED),
            msgspec.structs.replace(an_answer(conversation, 5), created_at=seconds_ago(9)),
            msgspec.structs.replace(sent(6, 9), conversation_id=other.id),
        )
        before = await unit.clock()
        count, age = await unit.messages.count_recent(conversation.id, 10)
        assert count == 3
        assert before <= oldest + timedelta(seconds=age) <= await unit.clock()
        assert (await unit.messages.count_recent(conversation.id, 600))[0] == 4
        assert await unit.messages.count_recent(conversation.id, 0) == (0, 0.0)
