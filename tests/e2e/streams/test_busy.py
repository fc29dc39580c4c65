"""A message that comes while an answer is being written: refused, put in the queue, in its place, or into it."""

import asyncio
from contextlib import AsyncExitStack
from time import monotonic
from uuid import UUID

import pytest

from retinue.domain.conversations import Conversation
from retinue.domain.messages import Message
from tests.e2e.streams.busy import FIRST, SAID, Busy, whole
from tests.e2e.streams.runs import bare, by_run, cancel, follow, run_id, run_of, runs_of
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.talk import after_tokens, begin, eventually, hire, open_stream, problem
from tests.support.client import RetinueClient
from tests.support.upstream import ThreadedUpstream, calls, tokens

pytestmark = pytest.mark.slow

SOON = 5.0


async def test_the_queue_can_be_seen_and_left(busy: Busy) -> None:
    """Places are given at once; whoever is taken back leaves its messages behind, cancelled and unread by the model."""
    here, there, conversation, first, upstream = busy
    async with AsyncExitStack() as stack:
        waiting = [
            await stack.enter_async_context(
                await begin((here, there)[n % 2], conversation.id, f"Waits {n}", on_busy="enqueue")
            )
            for n in range(3)
        ]
        for stream in waiting:
            start, status = await stream.take(2)
            assert (start.event, status.json["stage"]) == ("message_start", "queued")
        queued = await runs_of(there, conversation.id, "queued")
        assert [str(run.id) for run in queued] == [run_id(stream.seen[0]) for stream in waiting]
        assert [(run.position, run.ordinal, run.started_at) for run in queued] == [(n, None, None) for n in (3, 5, 7)]
        assert [str(run.id) for run in await runs_of(here, conversation.id, "running")] == [busy.run]
        assert await busy.statuses() == ["completed", "streaming", *["pending"] * 6]
        assert await busy.contents() == ["First", "", "Waits 0", "", "Waits 1", "", "Waits 2", ""]
        (await here.post_message(conversation.id, "Unasked")).problem(409, "conversation_busy")
        async with await open_stream(there, conversation.id, "Refused") as refused:
            await problem(refused, 409, "conversation_busy")

        receipt = (await cancel(there, queued[1].id)).expect(200).json
        assert (receipt["status"], receipt["receipt"]["socket_closed_at"]) == ("cancelled", None)
        withdrawn = await whole(waiting[1])
        assert (withdrawn.end["status"], withdrawn.end["finish_reason"]) == ("cancelled", "withdrawn")
        assert (await cancel(here, queued[1].id)).expect(200).json == receipt
        assert (await busy.statuses())[4:6] == ["cancelled", "cancelled"]
        assert [run.id for run in await runs_of(here, conversation.id, "queued")] == [queued[0].id, queued[2].id]

        upstream.release()
        answers = [await whole(stream) for stream in (first, waiting[0], waiting[2])]
    assert [answer.text for answer in answers] == [FIRST.text, "You said: Waits 0", "You said: Waits 2"]
    assert await busy.statuses() == [*["completed"] * 4, *["cancelled"] * 2, *["completed"] * 2]
    history = ["First", FIRST.text, "Waits 0"]
    assert busy.asked(1) == history
    assert busy.asked(2) == [*history, "You said: Waits 0", "Waits 2"]
    assert len(upstream.requests) == 3
    runs = await runs_of(there, conversation.id)
    assert [run.ordinal for run in runs] == [1, 2, None, 3]
    assert await runs_of(there, conversation.id, "queued") == []


async def test_waiting_for_an_answer_without_a_stream(busy: Busy) -> None:
    here, there, conversation, first, upstream = busy
    body = {"content": "Waits", "respond": True, "on_busy": "enqueue"}
    path = f"/conversations/{conversation.id}/messages"
    waiting = asyncio.create_task(there.post(path, body))
    await eventually(lambda: _queued(here, conversation))
    upstream.release()
    await whole(first)
    answer = (await waiting).expect(200).json
    assert (answer["status"], answer["message"]["content"]) == ("completed", "You said: Waits")

    upstream.enqueue(tokens(2).hold(1, "again"))
    async with await begin(here, conversation.id) as second:
        await after_tokens(second, 1)
        waiting = asyncio.create_task(there.post(path, body))
        [run] = await eventually(lambda: _queued(here, conversation))
        (await cancel(here, run)).expect(200)
        answer = (await waiting).expect(200).json
        assert (answer["status"], answer["finish_reason"]) == ("cancelled", "withdrawn")
        upstream.release("again")
        await second.rest()


async def _queued(client: RetinueClient, conversation: Conversation) -> list[UUID] | None:
    return [run.id for run in await runs_of(client, conversation.id, "queued")] or None


async def test_interrupting(busy: Busy) -> None:
    """The answer ends where it is, and the newest message is next, before all that waited longer."""
    here, there, conversation, first, upstream = busy
    async with (
        await begin(here, conversation.id, "Waits", on_busy="enqueue") as waiting,
        await follow(there, f"/conversations/{conversation.id}/events") as watched,
    ):
        since = monotonic()
        async with await begin(there, conversation.id, "Now", on_busy="interrupt") as urgent:
            interrupted, next_one = await whole(first), await whole(urgent)
            await asyncio.to_thread(upstream.wait_for_close)
        assert monotonic() - since < SOON
        waited = await whole(waiting)
        for _ in range(3):
            await watched.until("message_end")
        told = list(by_run(watched.seen))
    assert (interrupted.end["status"], interrupted.end["finish_reason"]) == ("cancelled", "cancelled")
    assert interrupted.text == SAID
    assert (next_one.text, waited.text) == ("You said: Now", "You said: Waits")
    assert told == [answer.start["run_id"] for answer in (interrupted, next_one, waited)]
    assert busy.asked(1) == ["First", SAID, "Now"]
    run = await run_of(here, busy.run)
    assert run.receipt is not None
    assert run.receipt.tokens_received
    assert run.receipt.socket_closed_at is not None
    assert await busy.statuses() == ["completed", "cancelled", *["completed"] * 4]
    assert await busy.contents() == ["First", SAID, "Waits", "You said: Waits", "Now", "You said: Now"]


async def test_an_interruption_is_interrupted(busy: Busy) -> None:
    here, there, conversation, first, upstream = busy
    upstream.enqueue(tokens(4).hold(1))
    async with await begin(here, conversation.id, "Second", on_busy="interrupt") as second:
        await after_tokens(second, 1)
        async with await begin(there, conversation.id, "Third", on_busy="interrupt") as third:
            answers = [await whole(stream) for stream in (first, second, third)]
    assert [answer.end["status"] for answer in answers] == ["cancelled", "cancelled", "completed"]
    assert [answer.text for answer in answers] == [SAID, tokens(1).text, "You said: Third"]
    assert busy.asked(2) == ["First", SAID, "Second", tokens(1).text, "Third"]


async def test_appending(busy: Busy) -> None:
    """The running answer takes the messages at its next boundary, and they move before it."""
    here, there, conversation, first, upstream = busy
    async with (
        await begin(there, conversation.id, "And this", on_busy="append") as one,
        await begin(here, conversation.id, "And that", on_busy="append", protocol="events") as other,
    ):
        before = await there.messages(conversation.id)
        assert [(message.content, message.status.value) for message in before] == [
            ("First", "completed"),
            ("", "streaming"),
            ("And this", "pending"),
            ("And that", "pending"),
        ]
        assert {str(message.run_id) for message in before[1:]} == {busy.run}
        upstream.release()
        answers = [await whole(first), await whole(one)]
        assert await other.rest()
    assert bare(answers[0].frames) == bare(answers[1].frames)
    expected = f"{FIRST.text}\n\nYou said: And that"
    assert answers[0].text == expected
    appended = [frame["user_message_id"] for frame in answers[0].of("message_appended")]
    assert appended == [str(message.id) for message in before[2:]]
    after = await there.messages(conversation.id)
    assert [message.content for message in after] == ["First", "And this", "And that", expected]
    assert [message.position for message in after] == [1, 2, 3, 4]
    assert {message.status.value for message in after} == {"completed"}
    assert busy.asked(1) == ["First", FIRST.text, "And this", "And that"]
    assert len(await runs_of(here, conversation.id)) == 1
    assert (await here.ask(conversation.id, "Next")).text == "You said: Next"
    assert busy.asked(2) == ["First", "And this", "And that", expected, "Next"]


async def test_appending_between_tool_calls(world: Replicas, upstream: ThreadedUpstream) -> None:
    """The step that comes next answers it, not one of its own."""
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(calls("get_weather", '{"city": "Oslo"}').hold(0), tokens(2))
    async with await begin(here, conversation.id, "First") as stream:
        await asyncio.to_thread(upstream.wait_for_request)
        async with await begin(there, conversation.id, "In Celsius", on_busy="append") as other:
            upstream.release()
            answer, same = await whole(stream), await whole(other)
    assert answer.text == same.text == tokens(2).text
    assert len(upstream.requests) == 2
    assert upstream.requests[1].body["messages"][-1] == {"role": "user", "content": "In Celsius"}
    assert [message.content for message in await there.messages(conversation.id)] == [
        "First",
        "In Celsius",
        tokens(2).text,
    ]


async def test_a_message_whose_run_is_cancelled_before_it_takes_it(busy: Busy) -> None:
    """It stays in the conversation, unanswered, and the next answer knows of it."""
    here, there, conversation, first, _ = busy
    async with await begin(there, conversation.id, "And this", on_busy="append") as other:
        (await cancel(there, busy.run)).expect(200)
        assert {(await whole(stream)).end["status"] for stream in (first, other)} == {"cancelled"}
    assert await busy.statuses() == ["completed", "cancelled", "completed"]
    assert (await here.ask(conversation.id, "Next")).end["status"] == "completed"
    assert busy.asked(1) == ["First", SAID, "And this", "Next"]


async def test_nothing_to_interrupt_and_nothing_to_append_to(world: Replicas, upstream: ThreadedUpstream) -> None:
    client = world.here.client()
    conversation = await hire(client, upstream)
    for policy in ("reject", "enqueue", "interrupt", "append"):
        async with await begin(client, conversation.id, policy, on_busy=policy) as stream:
            answer = await whole(stream)
        assert answer.text == f"You said: {policy}"
        assert "queued" not in [frame["stage"] for frame in answer.of("runtime_status")]
    messages: list[Message] = await client.messages(conversation.id)
    assert [message.position for message in messages] == list(range(1, 9))


async def test_a_queue_that_nobody_can_answer_any_more(busy: Busy) -> None:
    """Each of its runs fails and says why; the conversation is not blocked."""
    here, there, conversation, first, upstream = busy
    async with (
        await begin(there, conversation.id, "Waits 0", on_busy="enqueue") as one,
        await begin(here, conversation.id, "Waits 1", on_busy="enqueue") as other,
    ):
        (await there.delete(f"/employees/{conversation.employee_id}")).expect(204)
        upstream.release()
        assert (await whole(first)).text == FIRST.text
        for stream in (one, other):
            answer = await whole(stream)
            assert [error["code"] for error in answer.of("message_error")] == ["employee_deleted"]
            assert answer.end["status"] == "failed"
    assert await busy.statuses() == ["completed"] * 3 + ["failed", "completed", "failed"]
    assert len(upstream.requests) == 1
    (await here.post_message(conversation.id, "Noted")).expect(200)


async def test_appending_without_a_stream(busy: Busy) -> None:
    """The answer names the message that this request has stored, not the one that the run began with."""
    here, there, conversation, first, upstream = busy
    body = {"content": "And this", "respond": True, "on_busy": "append"}
    waiting = asyncio.create_task(there.post(f"/conversations/{conversation.id}/messages", body))

    async def has_arrived() -> bool | None:
        return True if len(await here.messages(conversation.id)) == 3 else None

    await eventually(has_arrived)
    upstream.release()
    answer = (await waiting).expect(200).json
    told = await whole(first)
    _, appended, stored = await there.messages(conversation.id)
    assert (answer["run_id"], answer["user_message_id"]) == (busy.run, str(appended.id))
    assert answer["message"]["content"] == told.text == stored.content
