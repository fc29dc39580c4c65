"""Events are not kept for ever; whoever comes later gets all of what became of them, and an end."""

import pytest

from tests.e2e.streams.runs import (
    bare,
    by_run,
    check_proof,
    expect_nothing,
    follow,
    places,
    run_id,
    run_of,
    stored_events,
)
from tests.e2e.streams.servers import Replicas, replicas_with, server_with
from tests.e2e.streams.store import calls_of, rows
from tests.e2e.streams.talk import after_tokens, begin, check_stream, eventually, hire, resume
from tests.support.client import RetinueClient
from tests.support.forking import ForkedServer
from tests.support.sse import Frame
from tests.support.upstream import Reasoning, Scenario, ThreadedUpstream, calls, refusal, tokens

pytestmark = pytest.mark.slow

FORGETFUL = {"RETINUE_RETENTION_EVENT_HOURS": "0.00001", "RETINUE_RETENTION_SWEEP_SECONDS": "0.1"}
ANSWER = Scenario(pieces=(Reasoning("Let me "), Reasoning("think."), *tokens(6).pieces))


async def _is_pruned(client: RetinueClient, run: str) -> bool | None:
    return True if (await run_of(client, run)).pruned_at else None


@server_with("sqlite", **FORGETFUL)
async def test_pruned_on_one_process(own_server: ForkedServer, upstream: ThreadedUpstream) -> None:
    await _check(Replicas(own_server, own_server), upstream)


@replicas_with(**FORGETFUL)
async def test_pruned_under_two_replicas(own_replicas: Replicas, upstream: ThreadedUpstream) -> None:
    await _check(own_replicas, upstream)


async def _check(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    upstream.enqueue(calls("get_weather", '{"city": "Oslo"}'), ANSWER, refusal(401), tokens(4).hold(2))
    said = check_stream((await here.ask(conversation.id, "Hello")).frames)
    failed = check_stream((await here.ask(conversation.id, "Hello again")).frames)
    async with await begin(here, conversation.id, "And again") as live:
        await after_tokens(live, 2)
        for answer in (said, failed):
            run = answer.start["run_id"]
            await eventually(lambda run=run: _is_pruned(there, run))  # type: ignore[misc]
        for client in (here, there):
            for answer in (said, failed):
                await _check_run(client, answer.frames)
        await _check_snapshot(there, said.frames)
        async with await follow(here, f"/conversations/{conversation.id}/events", after=said.frames[1].id) as stream:
            while run_id(await anext(stream)) != run_id(live.seen[0]):
                pass
            upstream.release()
            await stream.until("message_end")
            told = by_run(stream.seen)
        whole = check_stream([*live.seen, *await live.rest()])
    assert list(told) == [answer.start["run_id"] for answer in (said, failed, whole)]
    assert [frame.event for frame in told[said.start["run_id"]]] == ["snapshot", "message_end"]
    assert bare(told[whole.start["run_id"]]) == bare(whole.frames), "what runs is never pruned"
    await _check_what_stays(world, said.start["run_id"])


async def _check_run(client: RetinueClient, frames: list[Frame]) -> None:
    """From wherever a client comes, the stream is a snapshot and the end; and it ends."""
    run, end = run_id(frames[0]), frames[-1]
    has_failed = end.json["status"] == "failed"
    expected = ["snapshot", *(["message_error"] if has_failed else []), "message_end"]
    for place in (None, f"{run}:0-0", *(frame.id for frame in frames[:-1] if frame.id)):
        async with await follow(client, f"/runs/{run}/stream", last_event_id=place) as stream:
            told = await stream.rest()
        names = [frame.event for frame in told]
        assert names in (expected, expected[1:]), (place, names)
        assert names == expected or place == frames[-3 if has_failed else -2].id, "nothing is missing only at the end"
        assert bare(told[-1:]) == bare([end])
    async with await resume(client, end.json["conversation_id"], frames[0].id or "", protocol="events") as stream:
        events = await stream.rest()
    assert events[0].event == "snapshot.taken"
    assert [frame.json for frame in events] == await stored_events(client, run)
    await expect_nothing(client, f"/runs/{run}/stream", last_event_id=end.id)
    await expect_nothing(client, f"/runs/{run}/stream", last_event_id=end.id, protocol="events")


async def _check_snapshot(client: RetinueClient, frames: list[Frame]) -> None:
    end = frames[-1].json
    async with await follow(client, f"/runs/{end['run_id']}/stream") as stream:
        told = await stream.rest()
    snapshot = told[0].json
    before, last = (int(str(place).rpartition("-")[2]) for place in places(told))
    assert before == last - 1, "who resumes behind the snapshot misses nothing"
    assert (snapshot["text"], snapshot["reasoning"]) == (tokens(6).text, "Let me think.")
    assert (snapshot["status"], snapshot["message_id"]) == ("completed", end["message_id"])
    assert snapshot["user_message_id"] == frames[0].json["user_message_id"]
    assert snapshot["tool_log"] == end["tool_log"]
    assert [call["name"] for call in snapshot["tool_log"]] == ["get_weather"]
    check_proof(told)
    async with await follow(client, f"/runs/{end['run_id']}/stream", last_event_id=told[0].id) as stream:
        assert bare(await stream.rest()) == bare(told[1:])


async def _check_what_stays(world: Replicas, run: str) -> None:
    client = world.there.client()
    stored = await run_of(client, run)
    messages = await client.messages(stored.conversation_id)
    assert (messages[1].content, messages[1].reasoning) == (tokens(6).text, "Let me think.")
    assert [entry.name for entry in messages[1].tool_log] == ["get_weather"]
    assert messages[1].usage == stored.usage is not None
    assert [call.outcome for call in await calls_of(world.here, run)] == ["completed", "completed"]
    assert len(await rows(world.here, "SELECT last_seq FROM run_events WHERE run_id = {}", stored.id)) == 1
