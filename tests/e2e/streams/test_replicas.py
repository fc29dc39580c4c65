"""Two processes on one PostgreSQL, behind any balancer."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.e2e.streams.store import calls_of, has_stored
from tests.e2e.streams.talk import (
    after_tokens,
    check_stream,
    eventually,
    hire,
    more_conversations,
    open_stream,
    problem,
    resume,
    settled,
)
from tests.support.databases import fresh_database
from tests.support.server import RetinueServer, environment_for, running_retinue
from tests.support.sse import EventStream
from tests.support.upstream import ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

LEASE_SECONDS = "3"


@pytest.fixture(scope="module")
def replicas(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, fake: ThreadedUpstream
) -> Iterator[tuple[RetinueServer, RetinueServer]]:
    here, there = tmp_path_factory.mktemp("here"), tmp_path_factory.mktemp("there")
    with fresh_database(request, "postgresql", here) as url:
        environment = environment_for(url, allow=fake.address, RETINUE_RUNS_LEASE_SECONDS=LEASE_SECONDS)
        with running_retinue(here, environment) as one, running_retinue(there, environment) as other:
            yield one, other


async def test_a_live_run_is_followed_on_the_other_replica(
    replicas: tuple[RetinueServer, RetinueServer], upstream: ThreadedUpstream
) -> None:
    here, there = (replica.client() for replica in replicas)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(40).hold(5))
    async with await here.stream(conversation.id, "Hello") as original:
        seen = await after_tokens(original, 5)
        run, _, last = (seen.id or "").partition(":1-")
        places = [f"{run}:0-0", *(f"{run}:1-{n}" for n in range(1, int(last) + 1))]
        readers = [await resume(there, conversation.id, place) for place in places]
        upstream.release()
        whole = await original.rest()
        async with asyncio.timeout(20):
            tails = [await reader.rest() for reader in readers]
    assert whole
    check_stream(original.seen)
    for place, tail in zip(places, tails, strict=True):
        assert tail == [frame for frame in original.seen if _seq(frame.id) > _seq(place)], place
        async with await resume(there, conversation.id, place) as later:
            assert await later.rest() == tail
    for reader in readers:
        await reader.disconnect()
    assert len(upstream.requests) == 1


def _seq(event_id: str | None) -> int:
    return int((event_id or "").rpartition("-")[2])


async def test_posts_to_both_replicas_at_once(
    replicas: tuple[RetinueServer, RetinueServer], upstream: ThreadedUpstream
) -> None:
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
    replicas: tuple[RetinueServer, RetinueServer], upstream: ThreadedUpstream, is_silent: bool
) -> None:
    """The run's own process learns of it while the model still talks, or from its lease: it stops asking the model,

    and its stream breaks off, because there is no end that could be stored.
    """
    here, there = (replica.client() for replica in replicas)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(2000, between=0.02).hold(3))
    async with await here.stream(conversation.id, "Hello") as stream:
        last = await after_tokens(stream, 3)
        run = last.json["run_id"]
        await eventually(lambda: has_stored(replicas[0], run, last.id))
        (await there.delete(f"/conversations/{conversation.id}")).expect(204)
        (await here.get(f"/conversations/{conversation.id}")).problem(404, "not_found")
        if not is_silent:
            upstream.release()
        async with asyncio.timeout(20):
            rest = await stream.to_any_end()
    await asyncio.to_thread(upstream.wait_for_close)
    assert stream.response.ending == "cut"
    assert all(frame.event != "message_end" for frame in rest)
    [call] = await calls_of(replicas[0], run)
    assert (call.outcome, call.is_closed) == ("aborted", True)
    assert call.output_tokens


async def test_a_replica_that_dies_is_noticed_by_the_other(
    replicas: tuple[RetinueServer, RetinueServer], upstream: ThreadedUpstream
) -> None:
    dying, living = replicas
    here, there = (replica.client() for replica in replicas)
    conversation = await hire(here, upstream)
    upstream.enqueue(tokens(6).hold(3))
    async with await here.stream(conversation.id, "Hello") as stream:
        seen = await after_tokens(stream, 3)
        assert seen.id is not None
        async with await resume(there, conversation.id, f"{seen.json['run_id']}:0-0") as reader:
            while (await anext(reader)).id != seen.id:
                pass
            dying.kill()
            async with asyncio.timeout(20):
                await reader.rest()
    answer = check_stream(reader.seen)
    [error] = answer.of("message_error")
    assert (error["code"], error["retryable"], answer.end["status"]) == ("process_lost", True, "failed")
    _, stored = await settled(there, conversation.id)
    assert (stored.content, stored.error_code) == (answer.text, "process_lost")
    assert answer.text == tokens(3).text
    [call] = await calls_of(living, seen.json["run_id"])
    assert (call.outcome, call.error_code, call.is_closed) == ("aborted", "process_lost", True)
    assert (await there.ask(conversation.id, "Again")).end["status"] == "completed"
    dying.start()
    assert (await here.ask(conversation.id, "And again")).end["status"] == "completed"
