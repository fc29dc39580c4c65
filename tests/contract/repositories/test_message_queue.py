"""Messages that wait: for their run to start, or for a run to take them."""

from collections.abc import Sequence
from random import Random
from uuid import UUID

import msgspec
import pytest

from retinue.db.session import Database
from retinue.domain.conversations import Conversation
from retinue.domain.errors import NotFound
from retinue.domain.ids import new_id
from retinue.domain.messages import Message, MessageStatus, Role
from retinue.domain.runs import Run, RunStatus
from tests.contract.repositories.builders import a_message, a_run, an_answer
from tests.contract.repositories.conftest import Add

PENDING = MessageStatus.PENDING


def layout(conversation: Conversation, run: Run, names: str) -> dict[str, Message]:
    """Messages at 1, 2, …: `q` asks and `a` answers, capitals are appended to the run, the rest are later turns'."""
    made: dict[str, Message] = {}
    for position, name in enumerate(names, 1):
        if name == "a":
            made[name] = an_answer(conversation, position, run_id=run.id)
        elif name == "q":
            made[name] = a_message(conversation, position)
        else:
            run_id = run.id if name.isupper() else None
            made[name] = a_message(conversation, position, run_id=run_id, status=PENDING)
    return made


async def order(database: Database, conversation: Conversation, made: dict[str, Message]) -> str:
    """The names in their order, which must have neither gaps nor ties."""
    names = {message.id: name for name, message in made.items()}
    async with database.unit(conversation.tenant_id, read_only=True) as unit:
        messages = await unit.messages.list(conversation.id, limit=99)
    assert [message.position for message in messages] == list(range(1, len(made) + 1))
    return "".join(names[message.id] for message in messages)


async def store(database: Database, made: dict[str, Message]) -> None:
    first = next(iter(made.values()))
    async with database.unit(first.tenant_id) as unit:
        await unit.messages.add(*made.values())


@pytest.mark.parametrize(
    "scene",
    [
        ("qaX", "X", "qXa"),
        ("qaXY", "XY", "qXYa"),
        ("qaXY", "X", "qXaY"),
        ("qauvX", "X", "qXauv"),
        ("qauvXwxYz", "XY", "qXYauvwxz"),
        ("qauvXwxYz", "X", "qXauvwxYz"),
        ("qXa", "X", "qXa"),
    ],
)
async def test_the_answer_stands_behind_what_its_run_has_taken(
    database: Database, conversation: Conversation, run: Run, scene: tuple[str, str, str]
) -> None:
    before, takes, after = scene
    made = layout(conversation, run, before)
    await store(database, made)
    for name in takes:
        async with database.unit(run.tenant_id) as unit:
            assert await unit.messages.take(made[name].id, made["a"].id)
            taken = await unit.messages.get(made[name].id)
            assert (taken.status, taken.content) == (MessageStatus.COMPLETED, made[name].content)
    assert await order(database, conversation, made) == after


@pytest.mark.parametrize("seed", range(3))
async def test_any_mixture_keeps_its_order(database: Database, conversation: Conversation, run: Run, seed: int) -> None:
    random = Random(seed)
    others = random.sample("bcdefghijXYZ", 12)
    names = ["q", "a", *others]
    made = layout(conversation, run, "".join(names))
    await store(database, made)
    for name in [name for name in others if name.isupper()]:
        async with database.unit(run.tenant_id) as unit:
            assert await unit.messages.take(made[name].id, made["a"].id)
        names.remove(name)
        names.insert(names.index("a"), name)
        assert await order(database, conversation, made) == "".join(names)


async def test_runs_of_moved_messages_know_their_new_position(
    database: Database, add_run: Add, conversation: Conversation, run: Run
) -> None:
    made = layout(conversation, run, "qauvXwx")
    await store(database, made)
    between = await add_run(a_run(conversation, status=RunStatus.QUEUED, position=3, user_message_id=made["u"].id))
    behind = await add_run(a_run(conversation, status=RunStatus.QUEUED, position=6, user_message_id=made["w"].id))
    async with database.unit(run.tenant_id) as unit:
        await unit.messages.take(made["X"].id, made["a"].id)
        for stored in (run, between, behind):
            moved = await unit.runs.get(stored.id)
            assert moved.position == stored.position + (stored is between)
            if stored is not run:
                assert (await unit.messages.get(stored.user_message_id)).position == moved.position


async def test_other_conversations_keep_their_places(
    database: Database, add_run: Add, conversation: Conversation, run: Run
) -> None:
    elsewhere = msgspec.structs.replace(conversation, id=new_id())
    async with database.unit(run.tenant_id) as unit:
        await unit.conversations.add(elsewhere)
    other = await add_run(a_run(elsewhere, position=3))
    made, theirs = layout(conversation, run, "qauvX"), layout(elsewhere, other, "qauvX")
    await store(database, made)
    await store(database, theirs)
    async with database.unit(run.tenant_id) as unit:
        await unit.messages.take(made["X"].id, made["a"].id)
        assert await unit.runs.get(other.id) == other
    assert await order(database, elsewhere, theirs) == "qauvX"


async def test_a_message_is_taken_once_and_only_while_it_waits(
    database: Database, conversation: Conversation, run: Run
) -> None:
    made = layout(conversation, run, "qaXY")
    await store(database, made)
    async with database.unit(run.tenant_id) as unit:
        await unit.messages.withdraw(made["Y"].id)
        assert await unit.messages.take(made["X"].id, made["a"].id)
        for gone in (made["X"].id, made["Y"].id, made["q"].id, new_id()):
            assert not await unit.messages.take(gone, made["a"].id)
    assert await order(database, conversation, made) == "qXaY"


async def test_nothing_is_taken_by_an_answer_of_another_conversation(
    database: Database, conversation: Conversation, run: Run
) -> None:
    made = layout(conversation, run, "qX")
    elsewhere = msgspec.structs.replace(conversation, id=new_id())
    foreign = an_answer(elsewhere, 1)
    async with database.unit(run.tenant_id) as unit:
        await unit.conversations.add(elsewhere)
        await unit.messages.add(*made.values(), foreign)
        for answer in (foreign.id, new_id()):
            with pytest.raises(NotFound):
                await unit.messages.take(made["X"].id, answer)
        assert await unit.messages.get(made["X"].id) == made["X"]


async def test_appended_messages_are_found_in_order(database: Database, conversation: Conversation, run: Run) -> None:
    made = layout(conversation, run, "qauXY")
    made["b"] = an_answer(conversation, 6, run_id=run.id)
    made["b"] = msgspec.structs.replace(made["b"], status=PENDING)
    await store(database, dict(reversed(made.items())))
    async with database.unit(run.tenant_id) as unit:
        assert await unit.messages.appended(run.id) == [made["X"], made["Y"]]
        await unit.messages.take(made["X"].id, made["a"].id)
        assert ids(await unit.messages.appended(run.id)) == [made["Y"].id]
        await unit.messages.withdraw(made["Y"].id)
        assert await unit.messages.appended(run.id) == []


async def test_a_status_changes_only_from_the_one_before(database: Database, conversation: Conversation) -> None:
    answer = msgspec.structs.replace(an_answer(conversation, 1), status=PENDING)
    async with database.unit(conversation.tenant_id) as unit:
        await unit.messages.add(answer)
        change = unit.messages.change_status
        assert not await change(answer.id, to=MessageStatus.FAILED, from_=MessageStatus.STREAMING)
        assert await unit.messages.get(answer.id) == answer
        assert await change(answer.id, to=MessageStatus.STREAMING, from_=PENDING)
        changed = await unit.messages.get(answer.id)
        assert changed.status is MessageStatus.STREAMING
        assert changed.updated_at > answer.updated_at
        assert not await change(new_id(), to=MessageStatus.FAILED, from_=PENDING)


async def test_only_pending_messages_are_withdrawn(database: Database, conversation: Conversation, run: Run) -> None:
    made = layout(conversation, run, "qauv")
    await store(database, made)
    async with database.unit(run.tenant_id) as unit:
        await unit.messages.withdraw(*(message.id for message in made.values()), new_id())
        stored = {name: (await unit.messages.get(message.id)).status for name, message in made.items()}
        await unit.messages.withdraw()
    assert stored == {
        "q": MessageStatus.COMPLETED,
        "a": MessageStatus.STREAMING,
        "u": MessageStatus.CANCELLED,
        "v": MessageStatus.CANCELLED,
    }


async def test_history_leaves_out_what_waits_and_what_was_withdrawn(
    database: Database, conversation: Conversation
) -> None:
    kinds = [(role, status) for role in Role for status in (PENDING, MessageStatus.CANCELLED, MessageStatus.COMPLETED)]
    messages = [
        a_message(conversation, position, role=role, status=status, content=f"{role}, {status}")
        for position, (role, status) in enumerate(kinds, 1)
    ]
    async with database.unit(conversation.tenant_id) as unit:
        await unit.messages.add(*messages)
        history = await unit.messages.history(conversation.id, before_position=99, max_messages=9)
        newest = await unit.messages.history(conversation.id, before_position=99, max_messages=2)
    assert [message.content for message in history] == [
        "user, completed",
        "assistant, cancelled",
        "assistant, completed",
    ]
    assert newest == history[1:], "what is left out takes no place"


def ids(messages: Sequence[Message]) -> list[UUID]:
    return [message.id for message in messages]
