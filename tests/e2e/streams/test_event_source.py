"""What a browser's EventSource gets: a run, or all runs of a conversation, from any place, on any replica."""

import asyncio
from contextlib import AsyncExitStack
from time import monotonic

import pytest

from retinue.domain.conversations import Conversation
from retinue.domain.ids import new_id
from tests.e2e.streams.runs import (
    ENDS,
    PROTOCOLS,
    Protocol,
    bare,
    by_run,
    cancel,
    events_of,
    expect_nothing,
    follow,
    look,
    run_id,
    stored_events,
    to_end_of,
)
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.talk import (
    after_tokens,
    begin,
    check_stream,
    hire,
    more_conversations,
    problem,
)
from tests.support.client import RetinueClient
from tests.support.sse import Frame
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

SOON = 2.0


async def _close(client: RetinueClient, conversation: Conversation) -> None:
    (await client.patch(f"/conversations/{conversation.id}", {"status": "closed"})).expect(200)


async def test_a_conversation_is_told_run_after_run(world: Replicas, upstream: ThreadedUpstream) -> None:
    """Connected at once, silent while nothing runs, woken by what the other replica starts, over when it is closed."""
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    asked = [f"Turn {number}" for number in range(3)]
    async with AsyncExitStack() as stack:
        watched = [
            await stack.enter_async_context(await follow(client, events_of(conversation), protocol=protocol))
            for client in (here, there)
            for protocol in PROTOCOLS
        ]
        for content in asked:
            since = monotonic()
            answer = check_stream((await here.ask(conversation.id, content)).frames)
            for stream in watched:
                frames = await to_end_of(stream)
                assert {run_id(frame) for frame in frames} == {answer.start["run_id"]}
                assert frames[-1].id == answer.frames[-1].id
            assert monotonic() - since < SOON
        await _close(there, conversation)
        async with asyncio.timeout(10):
            for stream in watched:
                assert await stream.rest() == []
    for stream in watched:
        place, *frames = stream.seen
        assert place.raw == b": connected\nid: %b:0-0\n\n" % str(conversation.id).encode(), "proxies pass it on at once"
        told = by_run(frames)
        assert len(told) == len(asked)
        if frames[0].event == "message_start":
            assert [check_stream(frames).text for frames in told.values()] == [f"You said: {one}" for one in asked]
        for run, events in told.items():
            if events[0].event == "run.started":
                assert [frame.json for frame in events] == await stored_events(here, run)


async def test_whoever_is_connected_misses_nothing(world: Replicas, upstream: ThreadedUpstream) -> None:
    """What is posted as soon as the head of the stream is there is told, however quickly it is answered."""
    here, there = (server.client() for server in world)
    first = await here.hire()
    conversations = [first, *await more_conversations(here, first, 39)]

    async def one(number: int, conversation: Conversation) -> None:
        async with await follow((here, there)[number % 2], events_of(conversation)) as stream:
            answer = check_stream((await here.ask(conversation.id, "Hello")).frames)
            assert bare(await to_end_of(stream)) == bare(answer.frames)

    await asyncio.gather(*(one(number, conversation) for number, conversation in enumerate(conversations)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_it_goes_on_across_runs(world: Replicas, upstream: ThreadedUpstream, protocol: Protocol) -> None:
    """From every event of three finished runs and a live one, on either replica."""
    clients = [server.client() for server in world]
    conversation = await hire(clients[0], upstream)
    for number in range(3):
        await clients[0].ask(conversation.id, f"Turn {number}")
    runs = [run["id"] for run in (await clients[1].get(f"/conversations/{conversation.id}/runs")).json]
    upstream.enqueue(tokens(4).hold(2))
    async with await begin(clients[0], conversation.id) as live, AsyncExitStack() as stack:
        await after_tokens(live, 2)
        whole = await stack.enter_async_context(
            await follow(clients[0], events_of(conversation), last_event_id=f"{runs[0]}:0-0", protocol=protocol)
        )
        before = await to_end_of(whole, 3)
        readers = [
            await stack.enter_async_context(
                await follow(clients[n % 2], events_of(conversation), last_event_id=frame.id, protocol=protocol)
            )
            for n, frame in enumerate(before)
        ]
        fresh = await stack.enter_async_context(await follow(clients[1], events_of(conversation), protocol=protocol))
        upstream.release()
        last = await to_end_of(whole)
        tails = [await to_end_of(reader, _ends(before[n + 1 :]) + 1) for n, reader in enumerate(readers)]
        told = await to_end_of(fresh)
    everything = bare([*before, *last])
    assert list(by_run(whole.seen)) == [*runs, run_id(last[0])]
    for number, tail in enumerate(tails):
        assert bare(tail) == everything[number + 1 :], before[number].id
    assert bare(told) == bare(last), "without a place it begins with the run that is active"


def _ends(frames: list[Frame]) -> int:
    return sum(frame.event in ENDS for frame in frames)


async def test_a_closed_conversation_has_nothing_to_tell(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    first = check_stream((await here.ask(conversation.id, "Hello")).frames)
    second = check_stream((await here.ask(conversation.id, "Hello again")).frames)
    await _close(here, conversation)
    for client in (here, there):
        await expect_nothing(client, events_of(conversation))
        await expect_nothing(client, events_of(conversation), last_event_id=second.frames[-1].id)
        async with await follow(client, events_of(conversation), last_event_id=first.frames[-2].id) as stream:
            assert bare(await stream.rest()) == bare([first.frames[-1], *second.frames])
        async with await follow(client, events_of(conversation), last_event_id=first.frames[-1].id) as stream:
            assert bare(await stream.rest()) == bare(second.frames)
    (await here.patch(f"/conversations/{conversation.id}", {"status": "active"})).expect(200)
    async with await follow(there, events_of(conversation), last_event_id=second.frames[-1].id) as stream:
        third = check_stream((await here.ask(conversation.id, "Opened")).frames)
        assert bare(await to_end_of(stream)) == bare(third.frames)


async def test_closing_waits_for_what_runs_and_what_waits(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(4).hold(2))
    async with (
        await begin(here, conversation.id) as live,
        await begin(there, conversation.id, "Waited", on_busy="enqueue") as queued,
        await follow(there, events_of(conversation)) as stream,
    ):
        await after_tokens(live, 2)
        await _close(here, conversation)
        (await there.post_message(conversation.id, "Too late")).problem(409, "conversation_closed")
        upstream.release()
        async with asyncio.timeout(20):
            frames = await stream.rest()
            answers = [check_stream(await one.rest() and one.seen) for one in (live, queued)]
    told = [check_stream(group) for group in by_run(frames).values()]
    assert [answer.text for answer in told] == [answer.text for answer in answers]
    assert told[1].text == "You said: Waited"
    await expect_nothing(here, events_of(conversation), last_event_id=frames[-1].id)


async def test_one_run(world: Replicas, upstream: ThreadedUpstream) -> None:
    """The header beats the address, because a browser comes back with the address that it began with."""
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(6).hold(3))
    async with await begin(here, conversation.id) as stream:
        await after_tokens(stream, 3)
        run = run_id(stream.seen[0])
        path, early, late = f"/runs/{run}/stream", stream.seen[1].id, stream.seen[-1].id
        places = [
            (None, None, 0),
            (None, early, 2),
            (early, None, 2),
            (late, early, len(stream.seen)),
            (early, late, 2),
            ("", late, len(stream.seen)),
        ]
        readers = [
            (await follow(client, path, last_event_id=header, after=query), skipped)
            for client in (here, there)
            for header, query, skipped in places
        ]
        upstream.release()
        whole = bare(check_stream([*stream.seen, *await stream.rest()]).frames)
    for reader, skipped in readers:
        async with reader:
            assert bare(await reader.rest()) == whole[skipped:], skipped
    for client in (here, there):
        for protocol in PROTOCOLS:
            await expect_nothing(client, path, last_event_id=whole[-1].id, protocol=protocol)
            await expect_nothing(client, path, after=whole[-1].id, protocol=protocol)
            await expect_nothing(client, path, last_event_id=whole[-1].id, after=early, protocol=protocol)
        async with await follow(client, path, last_event_id=early, after=whole[-1].id) as again:
            assert bare(await again.rest()) == whole[2:]


async def test_places_that_lead_nowhere(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    [sibling] = await more_conversations(here, conversation, 1)
    run = check_stream((await here.ask(conversation.id, "Hello")).frames).start["run_id"]
    other = check_stream((await here.ask(sibling.id, "Hello")).frames).start["run_id"]
    stream, events = f"/runs/{run}/stream", events_of(conversation)
    for path, place, status, code in (
        (f"/runs/{new_id()}/stream", None, 404, "not_found"),
        (f"/conversations/{new_id()}/events", None, 404, "not_found"),
        (stream, "nonsense", 422, "invalid_event_id"),
        (events, f"{run}:1", 422, "invalid_event_id"),
        (stream, f"{run}:1-9999", 422, "unknown_event_id"),
        (stream, f"{run}:2-1", 422, "unknown_event_id"),
        (stream, f"{other}:1-1", 422, "unknown_event_id"),
        (events, f"{run}:1-9999", 422, "unknown_event_id"),
        (events, f"{other}:1-1", 404, "not_found"),
        (events, f"{new_id()}:1-1", 404, "not_found"),
        (f"/runs/{run}/events", f"{other}:1-1", 422, "unknown_event_id"),
    ):
        for client in (here, there):
            async with await look(client, path, after=place) as response:
                await problem(response, status, code)
    for path in (stream, events):
        async with await look(here, path, protocol="morse") as response:
            await problem(response, 422, "unknown_protocol")
    stored = await stored_events(here, run, limit=3)
    assert stored == await stored_events(there, run)
    assert [event["id"] for event in stored] == [f"{run}:1-{n}" for n in range(1, len(stored) + 1)]


async def test_a_withdrawn_run_is_not_told_to_the_conversation(world: Replicas, upstream: ThreadedUpstream) -> None:
    """It never ran. Who followed that run itself gets its end, and may go on in the conversation behind it."""
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(4).hold(2))
    async with (
        await begin(here, conversation.id) as live,
        await begin(here, conversation.id, "Never", on_busy="enqueue") as never,
        await begin(there, conversation.id, "Later", on_busy="enqueue") as later,
        await follow(there, events_of(conversation)) as stream,
    ):
        queued = [run_id((await one.take(1))[0]) for one in (never, later)]
        (await cancel(there, queued[0])).expect(200)
        await never.rest()
        assert never.seen[-1].json["finish_reason"] == "withdrawn"
        upstream.release()
        told = by_run(await to_end_of(stream, 2))
        await live.rest()
        await later.rest()
    assert list(told) == [run_id(live.seen[0]), queued[1]]
    async with await follow(here, events_of(conversation), last_event_id=never.seen[-1].id) as behind:
        answer = check_stream((await there.ask(conversation.id, "Next")).frames)
        assert bare(await to_end_of(behind)) == bare(answer.frames)


async def test_a_silent_follower_of_a_deleted_conversation(world: Replicas, upstream: ThreadedUpstream) -> None:
    """Nothing runs and nothing ever will: broken off soon, and who comes back is told that nothing is there."""
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    place = check_stream((await here.ask(conversation.id, "Hello")).frames).frames[-1].id
    streams = [await follow(client, events_of(conversation), last_event_id=place) for client in (here, there)]
    since = monotonic()
    (await here.delete(f"/conversations/{conversation.id}")).expect(204)
    async with asyncio.timeout(20):
        for stream in streams:
            async with stream:
                assert await stream.to_any_end() == []
                assert stream.response.ending == "cut"
    assert monotonic() - since < SOON
    async with await look(there, events_of(conversation), last_event_id=place) as response:
        await problem(response, 404, "not_found")
