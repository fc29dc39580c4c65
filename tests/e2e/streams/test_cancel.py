"""Cancelling by conversation, from both replicas, and after the end."""

import asyncio
from contextlib import AsyncExitStack

import msgspec
import pytest

from retinue.domain.runs import CancelReceipt
from tests.e2e.streams.busy import Busy, whole
from tests.e2e.streams.runs import cancel, run_of, runs_of
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.talk import begin, eventually, hire, more_conversations
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow


async def test_cancelling_all_of_a_conversation(busy: Busy) -> None:
    """From both replicas at once: everything ends, nothing starts, and both are told the same."""
    here, there, conversation, first, upstream = busy
    async with AsyncExitStack() as stack:
        waiting = [
            await stack.enter_async_context(await begin(here, conversation.id, f"Waits {n}", on_busy="enqueue"))
            for n in range(3)
        ]
        path = f"/conversations/{conversation.id}/cancel"
        answers = await asyncio.gather(here.post(path), there.post(path))
        ends = [await whole(stream) for stream in (first, *waiting)]
    await asyncio.to_thread(upstream.wait_for_close)
    assert {answer.end["finish_reason"] for answer in ends} == {"cancelled", "withdrawn"}
    told = [one for answer in answers for one in answer.expect(200).json]
    assert {one["run_id"] for one in told} == {str(run.id) for run in await runs_of(there, conversation.id)}
    stored = {str(run.id): run for run in await runs_of(there, conversation.id)}
    for one in told:
        assert one["status"] == "cancelled"
        assert msgspec.convert(one["receipt"], CancelReceipt) == stored[one["run_id"]].receipt
    assert (await there.post(path)).expect(200).json == []
    assert len(upstream.requests) == 1
    twice = await asyncio.gather(cancel(here, busy.run), cancel(there, busy.run))
    assert twice[0].expect(200).json == twice[1].expect(200).json
    assert (await here.ask(conversation.id, "Next")).end["status"] == "completed"


async def test_what_is_over_cannot_be_cancelled(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation = await hire(here, upstream)
    run = (await here.ask(conversation.id, "Hello")).start["run_id"]
    for client in (here, there):
        assert "completed" in (await cancel(client, run)).problem(409, "run_ended")["detail"]
        assert (await client.post(f"/conversations/{conversation.id}/cancel")).expect(200).json == []
    assert (await run_of(there, run)).cancel_requested_at is None


async def test_who_waits_in_a_conversation_that_is_deleted_is_told_so(
    world: Replicas, upstream: ThreadedUpstream
) -> None:
    """Either that the answer was cancelled, or that there is no such conversation: it is no fault of the server."""
    here, there = (server.client() for server in world)
    first = await hire(here, upstream)
    conversations = [first, *await more_conversations(here, first, 11)]
    upstream.enqueue(*[tokens(4).hold(2)] * len(conversations))
    body = {"content": "Hello", "respond": True}
    waiting = [asyncio.create_task(here.post(f"/conversations/{one.id}/messages", body)) for one in conversations]
    await eventually(lambda: _all_asked(upstream, len(conversations)))
    await asyncio.gather(*(there.delete(f"/conversations/{one.id}") for one in conversations))
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*waiting)
    for answer in answers:
        if answer.status == 200:
            assert answer.json["status"] == "cancelled"
        else:
            answer.problem(404, "not_found")


async def _all_asked(upstream: ThreadedUpstream, count: int) -> bool | None:
    return len(upstream.requests) == count or None
