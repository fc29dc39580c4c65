"""An EventSource that has read nothing yet and comes back: what began and ended while it was away is told."""

import asyncio
import signal
from typing import Literal

import pytest

from tests.e2e.streams.runs import bare, by_run, events_of, expect_nothing, follow, place_told, to_end_of
from tests.e2e.streams.servers import Replicas, replicas_with
from tests.e2e.streams.talk import after_tokens, begin, check_stream, hire
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

Way = Literal["last_event_id", "after"]


@pytest.mark.parametrize("way", ["last_event_id", "after"])
@pytest.mark.parametrize("earlier", [0, 2])
async def test_a_reconnect_after_silence_misses_nothing(
    world: Replicas, upstream: ThreadedUpstream, way: Way, earlier: int
) -> None:
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    last: str | None = f"{conversation.id}:0-0"
    for number in range(earlier):
        last = check_stream((await here.ask(conversation.id, f"Turn {number}")).frames).frames[-1].id
    async with await follow(here, events_of(conversation)) as stream:
        place = await place_told(stream)
    assert place == last
    missed = [check_stream((await here.ask(conversation.id, text)).frames) for text in ("Missed", "Missed, too")]
    async with await follow(there, events_of(conversation), **{way: place}) as back:
        frames = await to_end_of(back, 2)
        assert bare(frames) == bare([frame for answer in missed for frame in answer.frames])
        then = check_stream((await here.ask(conversation.id, "And then")).frames)
        assert bare(await to_end_of(back)) == bare(then.frames)
    assert [frame for frame in back.seen if frame.data is None] == [], "who names a place has one"


async def test_a_place_is_told_only_where_nothing_runs(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(4).hold(2))
    async with await begin(here, conversation.id) as live:
        await after_tokens(live, 2)
        async with await follow(there, events_of(conversation)) as stream:
            first = await anext(stream)
            upstream.release()
            await to_end_of(stream)
        await live.rest()
    assert (first.event, first.comments[:1]) == ("message_start", ("connected",))
    assert [frame for frame in stream.seen if frame.data is None] == []
    async with await follow(there, events_of(conversation)) as stream:
        assert await place_told(stream) == live.seen[-1].id


async def test_the_beginning_of_a_conversation_that_is_closed(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    async with await follow(here, events_of(conversation)) as stream:
        place = await place_told(stream)
    answer = check_stream((await here.ask(conversation.id, "Hello")).frames)
    (await there.patch(f"/conversations/{conversation.id}", {"status": "closed"})).expect(200)
    async with await follow(there, events_of(conversation), last_event_id=place) as back:
        assert bare(await back.rest()) == bare(answer.frames)
    await expect_nothing(here, events_of(conversation), last_event_id=answer.frames[-1].id)


@replicas_with(RETINUE_RUNS_DRAIN_SECONDS="0.1")
async def test_who_is_sent_away_in_silence_misses_nothing(own_replicas: Replicas, upstream: ThreadedUpstream) -> None:
    """A whole run begins and ends elsewhere in the pause that the client was asked to make."""
    stopping, staying = own_replicas
    here, there = (server.client() for server in own_replicas)
    conversation = await hire(here, upstream)
    async with await follow(here, events_of(conversation)) as stream:
        place = await place_told(stream)
        stopping.process.send(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await stream.to_any_end() == []
        assert (stream.response.ending, stream._parser.leftover) == ("cut", [b"retry: 1000"])
    missed = check_stream((await there.ask(conversation.id, "Missed")).frames)
    async with await follow(staying.client(), events_of(conversation), last_event_id=place) as back:
        told = by_run(await to_end_of(back))
    assert list(told) == [missed.start["run_id"]]
    assert await asyncio.to_thread(stopping.process.wait, within=20) == 0
