"""When a conversation takes messages: a session that lasts as long as people talk, and not too many at once."""

from typing import Any

import msgspec
import pytest

from retinue.domain.conversations import Conversation
from retinue.domain.errors import Conflict, RateLimited
from retinue.domain.policy import SessionPolicy
from retinue.domain.runs import RunStatus
from tests.contract.repositories.builders import NOON
from tests.unit.runs.acting.story import decide_next, goes_on, office_with
from tests.unit.runs.acting.tools import a_write, wants
from tests.unit.runs.conftest import World
from tests.unit.runs.doubles import Gate, says
from tests.unit.runs.process import Process

EXPIRED_AT_ONCE = SessionPolicy(ttl_seconds=0, max_messages=0)


async def ago(world: World, conversation: Conversation, seconds: float) -> None:
    """Everything in the conversation happened so long ago."""
    statements = (
        "UPDATE conversations SET last_message_at = {}, created_at = {} WHERE id = :id",
        "UPDATE runs SET finished_at = {} WHERE conversation_id = :id AND finished_at IS NOT NULL",
        "UPDATE messages SET created_at = {} WHERE conversation_id = :id",
    )
    at = f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '-{seconds} seconds')"
    async with world.database._engine.begin() as connection:
        for statement in statements:
            await connection.exec_driver_sql(statement.replace("{}", at).replace(":id", f"'{conversation.id.hex}'"))


async def refusal(office: Process, conversation: Conversation, **more: Any) -> str:
    with pytest.raises((Conflict, RateLimited)) as refused:
        await office.start(conversation, "Hello?", **more)
    return refused.value.problem_code


async def talked(world: World, *calls: Any, policy: SessionPolicy, **more: Any) -> tuple[Process, Conversation]:
    """A conversation with one answer."""
    office = await office_with(world, says("Hi."), *calls, sessions=policy, **more)
    conversation = await world.conversation()
    await office.ask(conversation)
    await office.idle()
    return office, conversation


@pytest.mark.parametrize(("age", "lasts"), [(0, True), (50, True), (70, False), (1e6, False)])
async def test_it_lasts_as_long_as_people_talk(world: World, age: float, lasts: bool) -> None:
    policy = SessionPolicy(ttl_seconds=60, max_messages=0)
    office, conversation = await talked(world, says("Yes."), policy=policy)
    await ago(world, conversation, age)
    if lasts:
        await office.ask(conversation)
    else:
        assert await refusal(office, conversation) == "session_expired"
        with pytest.raises(Conflict):
            await office.service.store_message(world.tenant.id, conversation.id, "Hello?")
        assert len(await world.messages_now(conversation.id)) == 2, "what is refused is not stored"


async def test_each_message_makes_it_last_longer(world: World) -> None:
    policy = SessionPolicy(ttl_seconds=60, max_messages=0)
    office, conversation = await talked(world, *[says("Yes.")] * 3, policy=policy)
    for _ in range(3):
        await ago(world, conversation, 50)
        await office.ask(conversation)
        await office.idle()
    await ago(world, conversation, 70)
    assert await refusal(office, conversation) == "session_expired"


async def test_who_has_not_said_anything_is_not_late(world: World) -> None:
    office = await office_with(world, says("Hi."), sessions=EXPIRED_AT_ONCE)
    conversation = await world.conversation()
    await ago(world, conversation, 1e6)
    await office.ask(conversation)


async def test_zero_expires_at_once(world: World) -> None:
    office, conversation = await talked(world, policy=EXPIRED_AT_ONCE)
    await ago(world, conversation, 0.01)
    assert await refusal(office, conversation) == "session_expired"


@pytest.mark.parametrize("on_busy", ["reject", "enqueue", "interrupt", "append"])
async def test_whatever_a_message_wants(world: World, on_busy: str) -> None:
    office, conversation = await talked(world, policy=SessionPolicy(ttl_seconds=60))
    await ago(world, conversation, 70)
    assert await refusal(office, conversation, on_busy=on_busy) == "session_expired"


@pytest.mark.parametrize(("own", "server", "lasts"), [(3600, 60, True), (60, 3600, False), (None, 3600, True)])
async def test_a_conversation_may_have_its_own_time(
    world: World, own: float | None, server: float, lasts: bool
) -> None:
    policy = SessionPolicy(ttl_seconds=server, max_messages=0)
    office, conversation = await talked(world, says("Yes."), policy=policy)
    async with world.database.unit(world.tenant.id) as unit:
        now = await unit.conversations.get(conversation.id)
        await unit.conversations.update(msgspec.structs.replace(now, session_ttl_seconds=own))
    await ago(world, conversation, 600)
    if lasts:
        await office.ask(conversation)
    else:
        assert await refusal(office, conversation) == "session_expired"


async def test_it_does_not_run_out_while_something_waits(world: World) -> None:
    office, conversation = await talked(
        world, wants("send"), says("Sent."), says("Later."),
        policy=SessionPolicy(ttl_seconds=60, max_messages=0), tools=[a_write("send")],
    )  # fmt: skip
    run = await office.start(conversation, "Send")
    await office.idle()
    await ago(world, conversation, 1e6)
    assert await refusal(office, conversation) == "conversation_busy"
    later = await office.start(conversation, "And?", on_busy="enqueue")
    await ago(world, conversation, 1e6)
    await decide_next(office)
    await goes_on(office, run)
    await goes_on(office, later)
    assert (await world.run_now(later)).status is RunStatus.COMPLETED


async def test_the_end_of_an_answer_counts_as_well(world: World) -> None:
    gate = Gate()
    policy = SessionPolicy(ttl_seconds=60, max_messages=0)
    office, conversation = await talked(world, [gate, *says("Long.")], says("Yes."), policy=policy)
    run = await office.start(conversation, "Take your time")
    await gate.wait_until_reached()
    await ago(world, conversation, 1e6)
    gate.opened.set()
    await office.follow(run)
    await office.idle()
    await office.ask(conversation)


async def test_who_reopens_it_goes_on(world: World) -> None:
    office, conversation = await talked(world, says("Yes."), policy=SessionPolicy(ttl_seconds=60, max_messages=0))
    await ago(world, conversation, 70)
    assert await refusal(office, conversation) == "session_expired"
    async with world.database.unit(world.tenant.id) as unit:
        await unit.conversations.reopen(conversation.id)
    assert (await office.ask(conversation)).turns


async def test_so_many_messages_in_so_many_seconds(world: World) -> None:
    policy = SessionPolicy(max_messages=3, window_seconds=10)
    office, conversation = await talked(world, *[says("Yes.")] * 3, policy=policy)
    await office.ask(conversation)
    await office.service.store_message(world.tenant.id, conversation.id, "And this.")
    with pytest.raises(RateLimited) as refused:
        await office.start(conversation)
    assert (refused.value.problem_code, refused.value.status) == ("rate_limited", 429)
    assert 1 <= int(refused.value.headers["Retry-After"]) <= 10
    with pytest.raises(RateLimited):
        await office.service.store_message(world.tenant.id, conversation.id, "And that.")
    with pytest.raises(RateLimited):
        await office.start(conversation, on_busy="append")
    other = await world.conversation()
    await office.ask(other)
    await ago(world, conversation, 11)
    await office.ask(conversation)


async def test_when_it_may_come_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the database's clock: what the process takes for the time does not matter."""
    monkeypatch.setattr("retinue.runs.admission.now", lambda: NOON)
    policy = SessionPolicy(ttl_seconds=1e9, max_messages=1, window_seconds=1000)
    office, conversation = await talked(world, policy=policy)
    for passed, waits in ((0, range(990, 1001)), (820, range(170, 181)), (900, range(90, 101))):
        await ago(world, conversation, passed)
        with pytest.raises(RateLimited) as refused:
            await office.start(conversation)
        assert int(refused.value.headers["Retry-After"]) in waits


async def test_a_message_that_was_withdrawn_counts_and_one_that_was_refused_does_not(world: World) -> None:
    """Otherwise sending and withdrawing would be free."""
    gate = Gate()
    policy = SessionPolicy(max_messages=3, window_seconds=10)
    office = await office_with(world, [gate, *says("One.")], says("Two."), says("Three."), sessions=policy)
    conversation = await world.conversation()
    run = await office.start(conversation)
    await gate.wait_until_reached()
    for _ in range(5):
        assert await refusal(office, conversation) == "conversation_busy"
    queued = await office.start(conversation, "Later", on_busy="enqueue")
    await office.service.cancel(world.tenant.id, queued.id)
    gate.opened.set()
    await office.follow(run)
    await office.idle()
    await office.ask(conversation)
    await office.idle()
    assert await refusal(office, conversation) == "rate_limited"


@pytest.mark.parametrize("on_busy", ["enqueue", "interrupt"])
async def test_withdrawing_does_not_make_room(world: World, on_busy: str) -> None:
    gate = Gate()
    policy = SessionPolicy(max_messages=3, window_seconds=10)
    office = await office_with(world, [gate, *says("One.")], *[says("More.")] * 3, sessions=policy)
    conversation = await world.conversation()
    await office.start(conversation)
    await gate.wait_until_reached()
    for _ in range(2):
        queued = await office.start(conversation, "Later", on_busy=on_busy)
        await office.service.cancel(world.tenant.id, queued.id)
    assert await refusal(office, conversation, on_busy=on_busy) == "rate_limited"
    gate.opened.set()
    await office.idle()


async def test_zero_is_any_number(world: World) -> None:
    policy = SessionPolicy(max_messages=0)
    office, conversation = await talked(world, *[says("Yes.")] * 15, policy=policy)
    for _ in range(15):
        await office.ask(conversation)
        await office.idle()
