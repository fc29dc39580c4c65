"""Whatever became of a run, whoever asks for its stream gets to an end within a second, also after a restart."""

import asyncio
import time
from typing import NamedTuple
from uuid import UUID

import pytest

from retinue.domain.conversations import Conversation
from tests.chaos.logs import counting_text, events_of, stored_log
from tests.chaos.world import begin, follow, followed, hire
from tests.e2e.streams.runs import PROTOCOLS, Protocol, cancel, run_of, script
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.store import execute
from tests.e2e.streams.talk import eventually, more_conversations
from tests.support.client import RetinueClient
from tests.support.sse import Frame
from tests.support.upstream import ThreadedUpstream, refusal, tokens

pytestmark = pytest.mark.slow

SOON = 1.0
ANSWER = tokens(20)
ENDS = {"message_end": "messages", "run.completed": "events", "run.failed": "events", "run.cancelled": "events"}


class Ended(NamedTuple):
    run: str
    conversation: UUID
    status: str
    text: str
    last: str
    """The id of its last event."""


async def _ended(client: RetinueClient, upstream: ThreadedUpstream, conversation: Conversation, status: str) -> Ended:
    scenario = {"failed": refusal(401), "cancelled": ANSWER.stall(7)}.get(status, ANSWER)
    async with await begin(client, conversation.id, script(scenario), protocol="events") as stream:
        run = (await stream.take(1))[0].json["run_id"]
        if status == "cancelled":
            for _ in range(7):
                await stream.until("text.delta")
            (await cancel(client, run)).expect(200)
        events = events_of([*stream.seen, *await stream.rest()])
    assert (await run_of(client, run)).status.value == ("completed" if status == "pruned" else status)
    return Ended(run, conversation.id, status, counting_text(events), events[-1].id)


async def _prune(world: Replicas, client: RetinueClient, run: str) -> None:
    """Make the run look a year old and wait for the job that tidies up."""
    value = run.replace("-", "") if "sqlite" in world.here.environment["RETINUE_DATABASE_URL"] else run
    clock = "datetime('now', '-1 year')" if value != run else "now() - interval '1 year'"
    await execute(world.here, f"UPDATE runs SET finished_at = {clock} WHERE id = '{value}'")

    async def is_pruned() -> bool | None:
        return True if (await run_of(client, run)).pruned_at else None

    await eventually(is_pruned, within=15)
    kinds = [event.kind for event in await stored_log(client, run)]
    assert kinds == ["snapshot.taken", "run.completed"], kinds


async def test_every_end_is_reached_within_a_second(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    first = await hire(here, upstream)
    statuses = ("completed", "failed", "cancelled", "pruned")
    conversations = [first, *await more_conversations(here, first, len(statuses) - 1)]
    ended = [await _ended(here, upstream, *pair) for pair in zip(conversations, statuses, strict=True)]
    await _prune(world, here, ended[-1].run)
    asked = len(upstream.requests)
    for client in (here, there):
        for one in ended:
            await _check(client, one)
    for server in set(world):
        server.kill()
        await asyncio.to_thread(server.start)
    for client in (here, there):
        for one in ended:
            await _check(client, one)
    assert len(upstream.requests) == asked


async def _check(client: RetinueClient, ended: Ended) -> None:
    for protocol in PROTOCOLS:
        for after in (None, f"{ended.run}:1-1", f"{ended.run}:1-2"):
            started = time.monotonic()
            async with await followed(client, ended.run, after, protocol) as stream:
                frames = await stream.rest()
            _check_end(ended, protocol, frames, time.monotonic() - started, is_whole=after is None)
        for after, is_read in ((f"{ended.run}:1-1", False), (ended.last, True)):
            started = time.monotonic()
            async with await begin(
                client, ended.conversation, "This starts nothing", last_event_id=after, protocol=protocol
            ) as stream:
                frames = await stream.rest()
            if not is_read:
                _check_end(ended, protocol, frames, time.monotonic() - started, is_whole=False)
            else:
                assert frames == []
                assert time.monotonic() - started < SOON
    started = time.monotonic()
    for protocol in PROTOCOLS:
        assert await follow(client, ended.run, ended.last, protocol) is None
    assert time.monotonic() - started < SOON


def _check_end(ended: Ended, protocol: Protocol, frames: list[Frame], took: float, *, is_whole: bool) -> None:
    assert took < SOON, f"{ended.status} in {protocol}: {took:.2f} s"
    last = frames[-1]
    assert last.id == ended.last, f"{ended.status} in {protocol}: {last}"
    assert ENDS[last.event or ""] == protocol
    if ended.status == "pruned":
        [snapshot] = [frame.json for frame in frames if frame.event in {"snapshot", "snapshot.taken"}]
        assert snapshot["text"] == ended.text
    elif is_whole:
        said = [frame.json for frame in frames if frame.event in {"token", "text.delta"}]
        assert "".join(data.get("content") or data.get("delta") for data in said) == ended.text
