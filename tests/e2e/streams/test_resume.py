"""A stream goes on from any event, live or later, without a gap and without a duplicate."""

import asyncio
from contextlib import AsyncExitStack

import msgspec
import pytest

from retinue.domain.conversations import Conversation
from retinue.domain.ids import new_id
from tests.e2e.streams.talk import (
    after_tokens,
    check_frames,
    check_stream,
    connect,
    hire,
    more_conversations,
    open_stream,
    problem,
    request_bytes,
    resume,
)
from tests.support.client import API, RetinueClient
from tests.support.server import RetinueServer
from tests.support.sse import Frame
from tests.support.upstream import Reasoning, Scenario, ThreadedUpstream, calls, tokens

pytestmark = pytest.mark.slow

ANSWER = Scenario(pieces=(Reasoning("Let me "), Reasoning("think."), *tokens(12).pieces))


async def test_from_every_position_while_the_run_is_live(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    """Readers join at every position that was seen so far, in both protocols; then the model goes on."""
    conversation = await hire(client, upstream)
    upstream.enqueue(ANSWER.hold(6))
    async with AsyncExitStack() as stack:
        original = await stack.enter_async_context(await client.stream(conversation.id, "Hello"))
        seen = await after_tokens(original, 4)
        assert seen.id is not None
        run, _, last = seen.id.partition(":1-")
        places = [f"{run}:0-0", *(f"{run}:1-{n}" for n in range(1, int(last) + 1))]
        readers = {
            (place, protocol): await stack.enter_async_context(
                await resume(client, conversation.id, place, protocol=protocol)
            )
            for place in places
            for protocol in ("messages", "events")
        }
        upstream.release()
        await original.rest()
        tails = {key: await reader.rest() for key, reader in readers.items()}
    whole = {protocol: tails[f"{run}:0-0", protocol] for protocol in ("messages", "events")}
    assert whole["messages"] == original.seen
    check_stream(whole["messages"])
    _check_events(whole["events"], run)
    for (place, protocol), tail in tails.items():
        assert tail == _after(whole[protocol], place), place
    assert len(upstream.requests) == 1
    assert len(await client.messages(conversation.id)) == 2


async def test_from_every_position_after_the_end(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    conversation = await hire(client, upstream)
    upstream.enqueue(calls("get_weather", '{"city": ', '"Paris"}'), ANSWER.cut(9))
    answer = check_stream((await client.ask(conversation.id, "Hello")).frames)
    assert answer.end["status"] == "failed"
    run = answer.start["run_id"]
    events = await _whole(client, conversation, f"{run}:0-0", "events")
    _check_events(events, run)
    whole = {"messages": answer.frames, "events": events}
    for protocol, frames in whole.items():
        for place in (f"{run}:0-0", *(event.id or "" for event in events)):
            assert await _whole(client, conversation, place, protocol) == _after(frames, place), (place, protocol)
    assert len(upstream.requests) == 2
    assert len(await client.messages(conversation.id)) == 2


async def test_a_reader_that_reconnects_again_and_again(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    """It drops the connection after every few frames while the answer streams; the union is the whole log."""
    conversation = await hire(client, upstream)
    upstream.enqueue(tokens(60, between=0.01))
    async with await client.stream(conversation.id, "Hello") as stream:
        frames = await stream.take(1)
        await stream.disconnect(reset=True)
    rounds = 1
    while frames[-1].event != "message_end":
        assert frames[-1].id is not None
        async with await resume(client, conversation.id, frames[-1].id) as stream:
            taken = await stream.take(rounds % 4 + 1)
            assert taken, "a stream that has not ended gave nothing"
            frames += taken
            await stream.disconnect(reset=rounds % 2 == 0)
        rounds += 1
    answer = check_stream(frames)
    assert rounds > 10
    assert answer.text == tokens(60).text
    assert await _whole(client, conversation, f"{answer.start['run_id']}:0-0", "messages") == frames
    assert len(upstream.requests) == 1


async def test_ids_that_lead_nowhere(retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream) -> None:
    conversation = await hire(client, upstream)
    [sibling] = await more_conversations(client, conversation, 1)
    stranger = await hire(client, upstream)
    run = (await client.ask(conversation.id, "Hello")).start["run_id"]
    own = len(await client.messages(conversation.id))

    for place in ("nonsense", run, f"{run}:1", f"{run}:1-x", f"{run}:-1-1", f"{run}:1-1-1", f"x:{run}:1-1", "1-1"):
        async with await open_stream(client, conversation.id, last_event_id=place) as response:
            await problem(response, 422, "invalid_event_id")
    for where, place in (
        (conversation, f"{new_id()}:1-1"),
        (sibling, f"{run}:1-1"),
        (stranger, f"{run}:1-1"),
    ):
        async with await open_stream(client, where.id, last_event_id=place) as response:
            await problem(response, 404, "not_found")
    for place in (f"{run}:1-9999", f"{run}:2-1"):
        async with await open_stream(client, conversation.id, last_event_id=place) as response:
            await problem(response, 422, "unknown_event_id")
    assert len(await client.messages(conversation.id)) == own
    assert await client.messages(sibling.id) == await client.messages(stranger.id) == []


async def test_a_live_run_has_not_reached_that_position(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    """Nobody can tell at once; but the stream must not end as if all was read."""
    conversation = await hire(client, upstream)
    upstream.enqueue(tokens(3).hold(1))
    async with await client.stream(conversation.id, "Hello") as stream:
        run = (await stream.until("token")).json["run_id"]
        async with await resume(client, conversation.id, f"{run}:1-9999") as ahead:
            upstream.release()
            async with asyncio.timeout(20):
                await stream.rest()
                [error] = await ahead.to_any_end()
        assert (error.event, error.id, error.json["code"]) == ("message_error", None, "stream_broken")
        assert ahead.response.ending == "cut"


async def test_breaking_off_is_no_failure_of_the_server(
    retinue: RetinueServer, client: RetinueClient, upstream: ThreadedUpstream
) -> None:
    """The stream says why, has no terminating chunk, and leaves one line without a traceback in the log."""
    conversation = await hire(client, upstream)
    upstream.enqueue(tokens(3).hold(1))
    written = len(retinue.output)
    async with await client.stream(conversation.id, "Hello") as stream:
        run = (await stream.until("token")).json["run_id"]
        async with await connect(retinue) as ahead:
            path = f"/conversations/{conversation.id}/messages/stream"
            place = {"last-event-id": f"{run}:1-9999"}
            ahead._writer.write(request_bytes(retinue, path, {"content": "Hello"}, place))
            head = await ahead._reader.readuntil(b"\r\n\r\n")
            upstream.release()
            async with asyncio.timeout(20):
                await stream.rest()
                body = await ahead._reader.read(-1)
    assert head.startswith(b"HTTP/1.1 200 ")
    size, _, chunk = body.partition(b"\r\n")
    assert chunk.startswith(b"event: message_error\ndata: {")
    assert len(chunk) == int(size, 16) + 2, "one chunk, and none that ends the body"
    lines = retinue.output[written:].splitlines()
    [broken] = [msgspec.json.decode(line) for line in lines if "stream_broken" in line]
    assert (broken["level"], broken["path"]) == ("warning", API + path)
    assert not [line for line in lines if "Traceback" in line or "Error in ASGI" in line]


def _check_events(frames: list[Frame], run: str) -> None:
    check_frames(frames)
    assert [frame.id for frame in frames] == [f"{run}:1-{n}" for n in range(1, len(frames) + 1)]
    assert frames[-1].json["event_count"] == len(frames)


def _after(frames: list[Frame], place: str) -> list[Frame]:
    """The frames after a position; frames without an id belong to the event that comes next."""
    start = 0
    for number, frame in enumerate(frames):
        if frame.id is not None and _position(frame.id) <= _position(place):
            start = number + 1
    return frames[start:]


def _position(event_id: str) -> tuple[int, int]:
    attempt, _, seq = event_id.partition(":")[2].partition("-")
    return int(attempt), int(seq)


async def _whole(client: RetinueClient, conversation: Conversation, place: str, protocol: str) -> list[Frame]:
    async with await resume(client, conversation.id, place, protocol=protocol) as stream:
        return await stream.rest()
