"""Two processes on one PostgreSQL and one Redis, behind any balancer."""

import asyncio
import signal
from contextlib import AsyncExitStack
from time import monotonic
from uuid import UUID

import pytest

from tests.e2e.streams.runs import (
    PROTOCOLS,
    bare,
    cancel,
    check_proof,
    counting_text,
    follow,
    position,
    runs_of,
    stored_events,
)
from tests.e2e.streams.servers import Replicas, replicas_with
from tests.e2e.streams.store import are_gone, calls_of, has_stored
from tests.e2e.streams.talk import (
    after_tokens,
    begin,
    check_frames,
    check_stream,
    eventually,
    hire,
    more_conversations,
    open_stream,
    problem,
    resume,
    settled,
)
from tests.support.client import RetinueClient
from tests.support.sse import EventStream, Frame
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

SOON = 2.0
"""Seconds in which a signal has its effect on the other replica, on a busy machine."""


async def test_a_crowd_follows_one_run(replicas: Replicas, upstream: ThreadedUpstream) -> None:
    """On both replicas, in both protocols, by GET and by POST, from every position: each gets exactly the rest."""
    clients = [replica.client() for replica in replicas]
    conversation = await hire(clients[0], upstream)
    upstream.enqueue(tokens(40).hold(5))
    async with AsyncExitStack() as stack:
        original = await stack.enter_async_context(await clients[0].stream(conversation.id, "Hello"))
        seen = await after_tokens(original, 5)
        run, _, last = (seen.id or "").partition(":1-")
        positions = [f"{run}:1-{n}" for n in range(1, int(last) + 1)]
        readers: list[tuple[str | None, str, EventStream]] = []
        for client in clients:
            for protocol in PROTOCOLS:
                whole = await follow(client, f"/runs/{run}/stream", protocol=protocol)
                readers.append((None, protocol, await stack.enter_async_context(whole)))
                for number, place in enumerate(positions):
                    reader = await _join(client, conversation.id, run, place, protocol, by_post=number % 2 == 0)
                    readers.append((place, protocol, await stack.enter_async_context(reader)))
        upstream.release()
        await original.rest()
        async with asyncio.timeout(20):
            tails = [(start, name, bare(await reader.rest())) for start, name, reader in readers]
    check_stream(original.seen)
    events = next(frames for start, name, frames in tails if start is None and name == "events")
    told = {"messages": bare(original.seen), "events": events}
    for start, name, tail in tails:
        assert tail == _behind(told[name], start), (start, name)
    assert [frame.json for frame in events] == await stored_events(clients[1], run)
    assert len(upstream.requests) == 1


async def _join(
    client: RetinueClient, conversation: UUID, run: str, place: str, protocol: str, *, by_post: bool
) -> EventStream:
    if by_post:
        return await resume(client, conversation, place, protocol=protocol)
    return await follow(client, f"/runs/{run}/stream", last_event_id=place, protocol=protocol)


def _behind(frames: list[Frame], place: str | None) -> list[Frame]:
    return [frame for frame in frames if place is None or position(frame.id or "") > position(place)]


async def test_posts_to_both_replicas_at_once(replicas: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (replica.client() for replica in replicas)
    first = await hire(here, upstream)
    conversations = [first, *await more_conversations(here, first, 9)]
    upstream.enqueue(*[tokens(3).hold(0)] * len(conversations))
    winners = []
    for conversation in conversations:
        responses = await asyncio.gather(*(open_stream(client, conversation.id) for client in (here, there)))
        [winner] = [response for response in responses if response.status == 200]
        [loser] = [response for response in responses if response.status != 200]
        await problem(loser, 409, "conversation_busy")
        await loser.close()
        winners.append(EventStream(winner))
    upstream.release()
    for stream in winners:
        async with stream:
            assert check_stream(await stream.rest()).text == tokens(3).text
    for conversation in conversations:
        assert [message.position for message in await there.messages(conversation.id)] == [1, 2]


@pytest.mark.parametrize("is_silent", [False, True], ids=["talking", "silent"])
async def test_a_conversation_is_deleted_on_the_other_replica(
    replicas: Replicas, upstream: ThreadedUpstream, is_silent: bool
) -> None:
    """Its process learns of it by a signal, long before its lease is due; the run ends, and then it is gone."""
    here, there = (replica.client() for replica in replicas)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(2000, between=0.02).hold(3))
    async with AsyncExitStack() as stack:
        stream = await stack.enter_async_context(await here.stream(conversation.id, "Hello"))
        last = await after_tokens(stream, 3)
        run = last.json["run_id"]
        await eventually(lambda: has_stored(replicas.here, run, last.id))
        paths = (f"/runs/{run}/stream", f"/conversations/{conversation.id}/events")
        followers = [
            await stack.enter_async_context(await follow(client, path, protocol=protocol))
            for client in (here, there)
            for path in paths
            for protocol in PROTOCOLS
        ]
        if not is_silent:
            upstream.release()
        since = monotonic()
        (await there.delete(f"/conversations/{conversation.id}")).expect(204)
        await asyncio.to_thread(upstream.wait_for_close)
        async with asyncio.timeout(20):
            await stream.to_any_end()
            endings = [await _ending(follower) for follower in followers]
        assert monotonic() - since < SOON
    (await here.get(f"/conversations/{conversation.id}")).problem(404, "not_found")
    (await here.get(f"/runs/{run}")).problem(404, "not_found")
    assert all(ending in {"cancelled", "cut"} for ending in [await _ending(stream), *endings]), endings
    [call] = await calls_of(replicas.here, run)
    assert (call.outcome, call.is_closed) == ("aborted", True)
    assert call.output_tokens


async def _ending(stream: EventStream) -> str:
    """How the run was cancelled, if the stream has told its end; `cut` if it broke off; nothing else is allowed."""
    await stream.to_any_end()
    told = [frame for frame in stream.seen if frame.event in {"message_end", "run.cancelled"}]
    if stream.response.ending == "cut" and not told:
        return "cut"
    return str(told[-1].json["finish_reason"]) if told else repr(stream.seen[-1:])


async def test_a_tenant_is_deleted_on_the_other_replica(replicas: Replicas, upstream: ThreadedUpstream) -> None:
    """As with a conversation, the model is hung up on at once, and everybody who follows is let go."""
    here, there = (replica.client() for replica in replicas)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(6).hold(3))
    async with (
        await begin(here, conversation.id) as stream,
        await begin(there, conversation.id, "Waits", on_busy="enqueue") as waiting,
    ):
        last = await after_tokens(stream, 3)
        await eventually(lambda: has_stored(replicas.here, last.json["run_id"], last.id))
        await waiting.take(2)
        since = monotonic()
        (await there.delete(f"/tenants/{conversation.tenant_id}")).expect(204)
        await asyncio.to_thread(upstream.wait_for_close, within=30)
        endings = [await _ending(one) for one in (stream, waiting)]
        assert monotonic() - since < SOON
    assert set(endings) <= {"cancelled", "withdrawn", "cut"}
    (await here.get(f"/conversations/{conversation.id}")).problem(404, "not_found")
    tables = ("conversations", "messages", "runs", "ledger", "run_events", "idempotency_records")
    await eventually(lambda: are_gone(replicas.here, conversation.tenant_id, *tables))


async def _told_on(client: RetinueClient, run: str, last: str) -> EventStream:
    """A follower that has read a run up to this event."""
    reader = await follow(client, f"/runs/{run}/stream")
    while (await anext(reader)).id != last:
        pass
    return reader


@replicas_with(RETINUE_RUNS_LEASE_SECONDS="1.5")
async def test_a_replica_that_dies_is_noticed_by_the_other(own_replicas: Replicas, upstream: ThreadedUpstream) -> None:
    dying, living = own_replicas
    here, there = (replica.client() for replica in own_replicas)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(6).hold(3), tokens(6))
    async with await here.stream(conversation.id, "Hello") as stream:
        seen = await after_tokens(stream, 3)
        run = seen.json["run_id"]
        await eventually(lambda: has_stored(living, run, seen.id))
        async with await _told_on(there, run, seen.id or "") as reader:
            dying.kill()
            async with asyncio.timeout(20):
                await reader.rest()
    _check_two_attempts(reader, run)
    _, stored = await settled(there, conversation.id)
    assert (stored.content, stored.status.value, stored.error_code) == (tokens(6).text, "completed", None)
    lost, completed = await calls_of(living, run)
    assert (lost.outcome, lost.error_code, lost.is_closed) == ("aborted", "process_lost", True)
    assert (completed.outcome, completed.output_tokens) == ("completed", 6)
    assert (await there.ask(conversation.id, "Again")).end["status"] == "completed"
    await asyncio.to_thread(dying.start)
    assert (await here.ask(conversation.id, "And again")).end["status"] == "completed"


@replicas_with(RETINUE_RUNS_LEASE_SECONDS="1.5")
async def test_a_run_without_a_process_is_cancelled(own_replicas: Replicas, upstream: ThreadedUpstream) -> None:
    """Nobody can hang up any more, so it ends when it is found, and is not taken up again. What was said stays."""
    here, there = (replica.client() for replica in own_replicas)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(6).hold(3))
    async with await begin(here, conversation.id) as stream:
        last = await after_tokens(stream, 3)
        run = last.json["run_id"]
        await eventually(lambda: has_stored(own_replicas.there, run, last.id))
    async with await _told_on(there, run, last.id or "") as reader:
        own_replicas.here.kill()
        cancelled = (await cancel(there, run)).expect(200).json
        async with asyncio.timeout(10):
            boundary, end = await reader.rest()
    assert (boundary.event, boundary.json["discard_after"]) == ("attempt_started", last.id)
    assert (end.json["finish_reason"], counting_text(reader.seen)) == ("cancelled", tokens(3).text)
    check_proof(reader.seen)
    receipt = cancelled["receipt"]
    [call] = await calls_of(own_replicas.there, run)
    assert (receipt["tokens_received"], receipt["provenance"]) == (call.output_tokens, "estimated")
    assert receipt["socket_closed_at"] is None
    assert (call.outcome, call.error_code, call.is_closed) == ("aborted", "process_lost", True)
    assert [message.status.value for message in await there.messages(conversation.id)] == ["completed", "cancelled"]
    assert len(upstream.requests) == 1
    assert (await there.ask(conversation.id, "Again")).end["status"] == "completed"


@replicas_with(RETINUE_RUNS_DRAIN_SECONDS="0.1")
async def test_a_replica_that_stops_hands_its_runs_to_the_other(
    own_replicas: Replicas, upstream: ThreadedUpstream
) -> None:
    """At once, although the leases are long; the clients find them there."""
    stopping, staying = own_replicas
    here, there = (replica.client() for replica in own_replicas)
    first = await hire(here, upstream)
    conversations = [first, *await more_conversations(here, first, 4)]
    upstream.enqueue(*[tokens(6).hold(3)] * 5, *[tokens(6)] * 5)
    async with AsyncExitStack() as stack:
        streams = [await stack.enter_async_context(await here.stream(one.id, "Hello")) for one in conversations]
        lasts = [await after_tokens(stream, 3) for stream in streams]
        readers = [
            await stack.enter_async_context(await _told_on(there, last.json["run_id"], last.id or "")) for last in lasts
        ]
        since = monotonic()
        stopping.process.send(signal.SIGTERM)
        async with asyncio.timeout(20):
            for stream, reader, last in zip(streams, readers, lasts, strict=True):
                assert await stream.to_any_end() == []
                assert (stream.response.ending, stream._parser.leftover) == ("cut", [b"retry: 1000"])
                await reader.rest()
                _check_two_attempts(reader, last.json["run_id"])
        assert monotonic() - since < 10
    async with await resume(there, conversations[0].id, lasts[0].id or "") as again:
        await again.rest()
    assert await asyncio.to_thread(stopping.process.wait, within=20) == 0
    assert counting_text([*streams[0].seen, *again.seen]) == tokens(6).text
    for conversation in conversations:
        [run] = await runs_of(there, conversation.id)
        assert (run.status.value, run.attempt) == ("completed", 2)
        assert [call.outcome for call in await calls_of(staying, run.id)] == ["aborted", "completed"]
    assert len(upstream.requests) == 10


def _check_two_attempts(reader: EventStream, run: str) -> None:
    check_frames(reader.seen)
    [boundary] = [frame for frame in reader.seen if frame.event == "attempt_started"]
    assert (boundary.id, boundary.json["discard_after"]) == (f"{run}:2-1", f"{run}:1-1")
    assert check_proof(reader.seen)["status"] == "completed"
    assert counting_text(reader.seen) == tokens(6).text
