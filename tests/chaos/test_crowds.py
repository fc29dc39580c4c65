"""A hundred people at one door: each policy for a busy conversation keeps its word, across replicas."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from uuid import UUID

import msgspec
import pytest

from retinue.domain.messages import Message, MessageStatus, Role
from tests.chaos.books import active_runs, all_over
from tests.chaos.logs import check_log, counting_text, events_of, stored_log
from tests.chaos.sizes import SIZES
from tests.chaos.world import PATIENCE, StartReplicas, begin, hire, send
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.store import rows
from tests.e2e.streams.talk import eventually
from tests.support import http1
from tests.support.client import RetinueClient
from tests.support.sse import EventStream, Frame
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

QUEUED = 5
"""Runs that may wait where the queue is short; see the fixture `short_queue`."""


@pytest.fixture(scope="module")
def long_queue(start_replicas: StartReplicas) -> Iterator[Replicas]:
    with start_replicas(RETINUE_RUNS_MAX_QUEUED=str(SIZES.crowd)) as pair:
        yield pair


@pytest.fixture(scope="module")
def short_queue(start_replicas: StartReplicas) -> Iterator[Replicas]:
    with start_replicas(RETINUE_RUNS_MAX_QUEUED=str(QUEUED)) as pair:
        yield pair


def _say(number: int) -> str:
    return f"<post {number}>"


async def _crowd(world: Replicas, conversation: UUID, on_busy: str, count: int) -> list[http1.Response]:
    """So many posts at once, every other one to the other replica."""
    clients = [server.client() for server in world]
    return await asyncio.gather(
        *(
            send(clients[number % 2], conversation, _say(number), protocol="events", on_busy=on_busy)
            for number in range(count)
        )
    )


async def _codes(responses: list[http1.Response]) -> Counter[str]:
    """What the refused ones were told."""
    told: Counter[str] = Counter()
    for response in responses:
        if response.status != 200:
            document = msgspec.json.decode(await response.read())
            assert response.status == document["status"]
            told[f"{response.status} {document['code']}"] += 1
            await response.close()
    return told


async def _read_all(responses: list[http1.Response]) -> dict[int, list[Frame]]:
    """The accepted streams, read to their ends, by the number of their post."""

    async def read(number: int) -> tuple[int, list[Frame]]:
        async with EventStream(responses[number]) as stream, asyncio.timeout(PATIENCE):
            return number, await stream.rest()

    accepted = [number for number, response in enumerate(responses) if response.status == 200]
    return dict(await asyncio.gather(*(read(number) for number in accepted)))


async def _all_messages(client: RetinueClient, conversation: UUID) -> list[Message]:
    answer = await client.get(f"/conversations/{conversation}/messages?limit=200")
    messages = answer.expect(200).as_type(list[Message])
    while link := answer.header("link"):
        answer = await client.get(link.partition("<")[2].partition(">")[0])
        messages += answer.as_type(list[Message])
    assert [message.position for message in messages] == list(range(1, len(messages) + 1))
    return messages


def _questions(messages: list[Message]) -> list[Message]:
    return [message for message in messages if message.role is Role.USER]


async def _end(world: Replicas, client: RetinueClient, conversation: UUID) -> None:
    """All is over and the conversation takes the next message."""
    await all_over(world.there, within=PATIENCE)
    assert (await client.ask(conversation, "And now?")).end["status"] == "completed"
    assert not await rows(world.here, "SELECT id FROM ledger WHERE closed_at IS NULL")


async def test_reject(replicas: Replicas, upstream: ThreadedUpstream) -> None:
    client = replicas.here.client()
    conversation = (await hire(client, upstream)).id
    upstream.enqueue(tokens(3).hold(1))
    responses = await _crowd(replicas, conversation, "reject", SIZES.crowd)
    assert await _codes(responses) == {"409 conversation_busy": SIZES.crowd - 1}
    upstream.release()
    [frames] = (await _read_all(responses)).values()
    assert check_log(events_of(frames))["type"] == "run.completed"
    messages = await _all_messages(client, conversation)
    assert [message.role for message in messages] == [Role.USER, Role.ASSISTANT]
    assert len(upstream.requests) == 1
    await _end(replicas, client, conversation)


async def test_enqueue(long_queue: Replicas, upstream: ThreadedUpstream, figure: Callable[[str], None]) -> None:
    """Everybody is answered, in the order of the messages, none lost, none twice."""
    client = long_queue.here.client()
    conversation = (await hire(client, upstream)).id
    started = asyncio.get_running_loop().time()
    responses = await _crowd(long_queue, conversation, "enqueue", SIZES.crowd)
    assert not await _codes(responses)
    streams = await _read_all(responses)
    took = asyncio.get_running_loop().time() - started
    figure(f"{SIZES.crowd} queued posts answered one after the other in {took:.1f} s")
    messages = await _all_messages(client, conversation)
    assert len(messages) == 2 * SIZES.crowd
    assert {message.status for message in messages} == {MessageStatus.COMPLETED}
    assert Counter(one.content for one in _questions(messages)) == Counter(map(_say, range(SIZES.crowd)))
    answers = [f"You said: {message.content}" for message in messages if message.role is Role.USER]
    assert [message.content for message in messages if message.role is Role.ASSISTANT] == answers
    asked = [request.body["messages"][-1]["content"] for request in upstream.requests]
    assert asked == [message.content for message in _questions(messages)]
    for number, frames in streams.items():
        log = events_of(frames)
        assert check_log(log)["type"] == "run.completed"
        assert counting_text(log) == f"You said: {_say(number)}"
        assert log == await stored_log(client, log[0].data["run_id"])
    await _end(long_queue, client, conversation)


async def test_a_full_queue(short_queue: Replicas, upstream: ThreadedUpstream, figure: Callable[[str], None]) -> None:
    client = short_queue.here.client()
    conversation = (await hire(client, upstream)).id
    upstream.enqueue(tokens(3).hold(1))
    responses = await _crowd(short_queue, conversation, "enqueue", SIZES.crowd)
    assert await _codes(responses) == {"409 queue_full": SIZES.crowd - QUEUED - 1}
    waiting = (await client.get(f"/conversations/{conversation}/runs?status=queued")).expect(200).json
    assert len(waiting) == QUEUED
    released = asyncio.get_running_loop().time()
    upstream.release()
    streams = await _read_all(responses)
    figure(f"{QUEUED} that waited were answered in {asyncio.get_running_loop().time() - released:.2f} s")
    assert len(streams) == QUEUED + 1
    messages = await _all_messages(client, conversation)
    assert Counter(one.content for one in _questions(messages)) == Counter(map(_say, streams))
    assert {message.status for message in messages} == {MessageStatus.COMPLETED}
    assert len(upstream.requests) == QUEUED + 1
    await _end(short_queue, client, conversation)


async def test_interrupt(replicas: Replicas, upstream: ThreadedUpstream) -> None:
    """The last one wins; whoever was running keeps what was said, whoever waited is superseded."""
    client = replicas.here.client()
    conversation = (await hire(client, upstream)).id
    upstream.enqueue(tokens(3).stall(2))
    async with await begin(client, conversation, "Tell me a story", protocol="events") as story:
        await story.until("text.delta")
        responses = await _crowd(replicas, conversation, "interrupt", SIZES.crowd)
        assert not await _codes(responses)
        streams = await _read_all(responses)
        told = events_of([*story.seen, *await story.rest()])
    assert check_log(told)["type"] == "run.cancelled"
    assert counting_text(told)
    ends = {number: check_log(events_of(frames)) for number, frames in streams.items()}
    words = Counter(end["type"] for end in ends.values())
    messages = await _all_messages(client, conversation)
    assert Counter(one.content for one in _questions(messages)[1:]) == Counter(map(_say, range(SIZES.crowd)))
    assert len(messages) == 2 * (SIZES.crowd + 1)
    # A run may complete before the next interruption comes; the last one always does.
    assert set(words) <= {"run.completed", "run.cancelled"}
    last = _questions(messages)[-1].content
    assert ends[next(number for number in ends if _say(number) == last)]["type"] == "run.completed"
    for message in messages:
        assert message.status in {MessageStatus.COMPLETED, MessageStatus.CANCELLED}
    await _end(replicas, client, conversation)


async def test_interrupt_while_nobody_can_complete(replicas: Replicas, upstream: ThreadedUpstream) -> None:
    """The model is silent until all have come: exactly one completes."""
    client = replicas.here.client()
    conversation = (await hire(client, upstream)).id
    upstream.enqueue(*[tokens(3).hold(0)] * (SIZES.crowd + 1))
    responses = await _crowd(replicas, conversation, "interrupt", SIZES.crowd)
    assert not await _codes(responses)

    async def only_one_is_left() -> bool | None:
        return True if len(await active_runs(replicas.here)) == 1 else None

    await eventually(only_one_is_left)
    upstream.release()
    streams = await _read_all(responses)
    words = Counter(check_log(events_of(frames))["type"] for frames in streams.values())
    assert words == {"run.completed": 1, "run.cancelled": SIZES.crowd - 1}
    messages = await _all_messages(client, conversation)
    assert Counter(one.content for one in _questions(messages)) == Counter(map(_say, range(SIZES.crowd)))
    started = [
        run for run in (await client.get(f"/conversations/{conversation}/runs?limit=200")).json if run["ordinal"]
    ]
    assert len(upstream.requests) <= len(started)
    upstream.reset()
    await _end(replicas, client, conversation)


async def test_append(long_queue: Replicas, upstream: ThreadedUpstream) -> None:
    """The running answer takes them all: nothing lost, nothing out of order, every message before its answer."""
    client = long_queue.here.client()
    conversation = (await hire(client, upstream)).id
    upstream.enqueue(tokens(3).hold(2))
    async with await begin(client, conversation, "Tell me a story", protocol="events") as story:
        await story.until("text.delta")
        run = story.seen[0].json["run_id"]
        responses = await _crowd(long_queue, conversation, "append", SIZES.crowd)
        assert not await _codes(responses)
        upstream.release()
        streams = await _read_all(responses)
        told = events_of([*story.seen, *await story.rest()])
    check_log(told)
    runs = {events_of(frames)[0].data["run_id"] for frames in streams.values()}
    messages = await _all_messages(client, conversation)
    questions = _questions(messages)
    assert Counter(one.content for one in questions[1:]) == Counter(map(_say, range(SIZES.crowd)))
    assert {message.status for message in messages} == {MessageStatus.COMPLETED}
    assert runs == {run}
    assert len(messages) == SIZES.crowd + 2
    assert messages[-1].role is Role.ASSISTANT
    appended = [UUID(event.data["user_message_id"]) for event in told if event.kind == "message.appended"]
    assert appended == [message.id for message in questions[1:]]
    last = upstream.requests[-1].body["messages"]
    assert [turn["content"] for turn in last if turn["role"] == "user"] == [one.content for one in questions]
    await _end(long_queue, client, conversation)


async def test_twins(replicas: Replicas, upstream: ThreadedUpstream) -> None:
    """Identical posts with one key at the same instant on two replicas: one run, one message, the same bytes."""
    clients = [server.client() for server in replicas]
    conversation = (await hire(clients[0], upstream)).id
    upstream.enqueue(tokens(20).hold(5))
    posts = [send(clients[number % 2], conversation, "Once", key="twin") for number in range(SIZES.twins)]
    responses = await asyncio.gather(*posts)
    assert [response.status for response in responses] == [200] * SIZES.twins
    upstream.release()
    streams = await _read_all(responses)
    digests = {hashlib.sha256(b"".join(frame.raw for frame in frames)).hexdigest() for frames in streams.values()}
    assert len(digests) == 1
    again = await send(clients[1], conversation, "Once", key="twin")
    async with EventStream(again) as stream:
        assert await stream.rest() == streams[0]
    refused = await clients[0].call(
        "POST",
        f"/conversations/{conversation}/messages/stream",
        {"content": "Something else"},
        headers={"idempotency-key": "twin"},
    )
    refused.problem(422, "idempotency_key_reused")
    assert len(await _all_messages(clients[0], conversation)) == 2
    assert len((await clients[0].get(f"/conversations/{conversation}/runs")).json) == 1
    assert len(upstream.requests) == 1
