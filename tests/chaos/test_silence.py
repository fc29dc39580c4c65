"""Stop means stop: a provider that says nothing for ever is hung up on, from any replica, at any moment."""

import asyncio
import random
import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any, NamedTuple
from uuid import UUID

import msgspec
import pytest

from retinue.domain.runs import CancelReceipt
from tests.chaos.logs import check_log, counting_text, events_of, stored_log
from tests.chaos.sizes import FULL, SIZES
from tests.chaos.world import asked_for, begin, follow, hire
from tests.e2e.streams.runs import cancel, run_of, script
from tests.e2e.streams.servers import Replicas
from tests.e2e.streams.store import calls_of
from tests.support.client import RetinueClient
from tests.support.upstream import Scenario, Stall, Text, ThreadedUpstream, refusal, says, tokens

pytestmark = pytest.mark.slow


class Silence(NamedTuple):
    name: str
    scenario: Callable[[str], Scenario]
    words: int = 0
    """What it says before it falls silent."""


SILENCES = (
    Silence("before the headers", lambda mark: says(mark, before_headers=86_400)),
    Silence("after the headers", lambda mark: Scenario(pieces=(Stall(), Text(mark)))),
    Silence("in the middle", lambda mark: says(mark, " and", " then").stall(3), 3),
)


class Phones(NamedTuple):
    """Who asks and who hangs up."""

    world: Replicas
    here: RetinueClient
    there: RetinueClient
    conversation: UUID


def p95(values: list[float]) -> float:
    return quantiles(values, n=20, method="inclusive")[-1]


@pytest.mark.parametrize("place", ["same", "other"])
async def test_cancelling_closes_the_socket(
    world: Replicas, upstream: ThreadedUpstream, rng: random.Random, figure: Callable[[str], None], place: str
) -> None:
    if place == "other" and world.here is world.there:
        pytest.skip("one process has no other")
    here = world.here.client()
    there = here if place == "same" else world.there.client()
    phones = Phones(world, here, there, (await hire(here, upstream)).id)
    waits: list[float] = []
    answers: list[float] = []
    for number in range(SIZES.cancels):
        closed, answered = await _cancel_one(phones, upstream, f"<{place}.{number}>", rng.choice(SILENCES))
        waits.append(closed * 1000)
        answers.append(answered * 1000)
    asked = [len(asked_for(upstream, f"<{place}.{number}>")) for number in range(SIZES.cancels)]
    assert asked == [1] * SIZES.cancels
    assert len(upstream.requests) == SIZES.cancels
    figure(f"to the closed socket: median {median(waits):.0f} ms, p95 {p95(waits):.0f} ms, longest {max(waits):.0f} ms")
    figure(f"to the receipt: median {median(answers):.0f} ms, p95 {p95(answers):.0f} ms")
    assert median(waits) <= FULL.cancel_p95_ms, sorted(waits)
    assert p95(waits) <= SIZES.cancel_p95_ms, sorted(waits)[-20:]


async def _cancel_one(phones: Phones, upstream: ThreadedUpstream, mark: str, silence: Silence) -> tuple[float, float]:
    """Seconds from the cancel request to the closed socket, and to its answer."""
    world, here, there, conversation = phones
    index = len(upstream.requests)
    async with await begin(here, conversation, script(silence.scenario(mark)), protocol="events") as stream:
        for _ in range(silence.words):
            await stream.until("text.delta")
        await stream.take(0 if silence.words else 1)
        run = stream.seen[0].json["run_id"]
        await asyncio.to_thread(upstream.wait_for_request, index)
        asked_at = time.monotonic()
        answer = await cancel(there, run)
        answered = time.monotonic() - asked_at
        await asyncio.to_thread(upstream.wait_for_close, index)
        closed_at = upstream.requests[index].closed_at
        assert closed_at is not None
        events = events_of([*stream.seen, *await stream.rest()])
    receipt = _receipt(answer.expect(200).json, run)
    await _check_receipt(there, run, receipt, silence, mark)
    log = await stored_log(there, run)
    assert events == log
    assert check_log(log)["type"] == "run.cancelled"
    assert counting_text(log) == (silence.scenario(mark).text if silence.words else "")
    [call] = await calls_of(world.here, run)
    assert (call.outcome, call.is_closed) == ("aborted", True)
    assert (await cancel(here, run)).expect(200).json == (await cancel(there, run)).expect(200).json == answer.json
    return closed_at - asked_at, answered


def _receipt(cancellation: dict[str, Any], run: str) -> CancelReceipt:
    assert (cancellation["run_id"], cancellation["status"]) == (run, "cancelled"), cancellation
    return msgspec.convert(cancellation["receipt"], CancelReceipt)


async def _check_receipt(client: RetinueClient, run: str, receipt: CancelReceipt, silence: Silence, mark: str) -> None:
    stored = await run_of(client, run)
    assert stored.receipt == receipt
    assert stored.finished_at is not None
    assert receipt.requested_at <= stored.finished_at
    assert receipt.socket_closed_at is not None, receipt
    # Two clocks: the database tells when it was asked, the process when it hung up.
    assert abs((receipt.socket_closed_at - receipt.requested_at).total_seconds()) < 5
    if silence.words:
        assert receipt.tokens_received, receipt
        assert receipt.charged is None, "a server of one's own has no list price"
        assert receipt.provenance is not None, receipt


async def test_a_run_that_waits_in_the_queue(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation = (await hire(here, upstream)).id
    first = await begin(here, conversation, script(tokens(4).hold(2, "queue")), protocol="events")
    async with (
        first,
        await begin(here, conversation, script(says("<never>")), protocol="events", on_busy="enqueue") as second,
    ):
        await first.until("text.delta")
        waiting = (await second.take(1))[0].json["run_id"]
        answer = (await cancel(there, waiting)).expect(200)
        ends = events_of([*second.seen, *await second.rest()])
        assert (await cancel(here, waiting)).expect(200).json == answer.json
        assert ends[-1].data["type"] == "run.cancelled"
        check_log(ends)
        receipt = _receipt(answer.json, waiting)
        assert receipt.socket_closed_at is None
        assert not receipt.tokens_received
        upstream.release("queue")
        assert (await first.rest())[-1].event == "run.completed"
    assert not asked_for(upstream, "<never>")
    assert [message.status.value for message in await there.messages(conversation)].count("cancelled") == 2
    assert (await there.ask(conversation, "And on")).end["status"] == "completed"


async def test_a_run_that_waits_for_its_next_try(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation = (await hire(here, upstream)).id
    upstream.enqueue(refusal(429, retry_after="18"))
    async with await begin(here, conversation, "Hello", protocol="events") as stream:
        run = (await stream.take(1))[0].json["run_id"]
        await asyncio.to_thread(upstream.wait_for_request)
        # Long enough for the refusal to arrive; the wait that it asks for is far longer.
        await asyncio.sleep(0.3)
        started = time.monotonic()
        answer = (await cancel(there, run)).expect(200)
        assert time.monotonic() - started < 2
        assert (await stream.rest())[-1].event == "run.cancelled"
    assert (await cancel(here, run)).expect(200).json == answer.json
    _receipt(answer.json, run)
    assert len(upstream.requests) == 1


async def test_cancelling_what_has_ended(world: Replicas, upstream: ThreadedUpstream) -> None:
    here, there = (server.client() for server in world)
    conversation = (await hire(here, upstream)).id
    run = (await here.ask(conversation, "Hello")).start["run_id"]
    for client in (here, there):
        document = (await cancel(client, run)).problem(409, "run_ended")
        assert "completed" in document["detail"]
        assert (await client.post(f"/conversations/{conversation}/cancel")).expect(200).json == []
    last = (await stored_log(there, run))[-1]
    assert last.kind == "run.completed"
    assert await follow(there, run, last.id) is None


async def test_many_cancels_at_once(world: Replicas, upstream: ThreadedUpstream) -> None:
    """Ten clients press stop at the same moment: one end, and the same receipt for all of them."""
    here, there = (server.client() for server in world)
    conversation = (await hire(here, upstream)).id
    async with await begin(here, conversation, script(tokens(3).stall(3)), protocol="events") as stream:
        for _ in range(3):
            await stream.until("text.delta")
        run = stream.seen[0].json["run_id"]
        answers = await asyncio.gather(*(cancel(client, run) for client in [here, there] * 5))
        await stream.rest()
    receipts = [msgspec.json.encode(_receipt(answer.expect(200).json, run)) for answer in answers]
    assert len(set(receipts)) == 1
    assert check_log(await stored_log(here, run))["type"] == "run.cancelled"
    assert len(upstream.requests) == 1
