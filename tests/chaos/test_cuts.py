"""The connection is cut after every single event; what was read, put together, is the log."""

import asyncio
import random
from typing import NamedTuple
from uuid import UUID

import pytest

from tests.chaos.logs import Event, check_log, check_order, counting_text, events_of, stored_log
from tests.chaos.sizes import SIZES
from tests.chaos.world import begin, follow, followed, hire
from tests.e2e.streams.runs import PROTOCOLS, Protocol, script
from tests.e2e.streams.servers import Replicas
from tests.support.client import RetinueClient
from tests.support.sse import EventStream, Frame
from tests.support.upstream import Hold, Scenario, Text, ThreadedUpstream, tokens

pytestmark = pytest.mark.slow

HIDDEN = {"step.started", "tool_call.started", "tool_call.delta", "usage.recorded"}
"""What the protocol `messages` does not show."""
HURRIED = 5.0


class Link(NamedTuple):
    """One connection: what it was asked for and the one frame it was allowed to bring."""

    protocol: Protocol
    after: str | None
    frame: Frame


async def _one_frame(stream: EventStream, rng: random.Random) -> Frame | None:
    async with stream, asyncio.timeout(HURRIED):
        taken = await stream.take(1)
        await stream.disconnect(reset=rng.random() < 0.5)
    return taken[0] if taken else None


def _check_chain(links: list[Link], log: list[Event]) -> None:
    """Every connection brought exactly the next event that its protocol shows."""
    number = {event.id: index for index, event in enumerate(log)}
    for link in links:
        later = log if link.after is None else log[number[link.after] + 1 :]
        due = next(event for event in later if link.protocol == "events" or event.kind not in HIDDEN)
        assert link.frame.id == due.id, f"after {link.after} in {link.protocol}: {link.frame}"
        if link.protocol == "events":
            assert link.frame.json == due.data
    assert links[-1].frame.id == log[-1].id
    said = "".join(_text(link) for link in links)
    assert said == counting_text(log)
    end = links[-1].frame.json
    assert (end["event_count"], end["text_sha256"]) == (log[-1].data["event_count"], log[-1].data["text_sha256"])


def _text(link: Link) -> str:
    data = link.frame.json
    return {"text.delta": data.get("delta"), "token": data.get("content")}.get(data["type"]) or ""


def _protocols(mixed: bool, rng: random.Random) -> Protocol:
    return rng.choice(PROTOCOLS) if mixed else "events"


async def _finished(client: RetinueClient, upstream: ThreadedUpstream) -> tuple[UUID, str, list[Event]]:
    conversation = await hire(client, upstream)
    async with await begin(client, conversation.id, script(tokens(SIZES.cut_events)), protocol="events") as stream:
        seen = events_of(await stream.rest())
    run = seen[0].data["run_id"]
    log = await stored_log(client, run, limit=50)
    assert seen == log
    check_log(log)
    assert len(log) > SIZES.cut_events
    return conversation.id, run, log


@pytest.mark.parametrize("mixed", [False, True], ids=["events", "mixed"])
async def test_after_the_end(world: Replicas, upstream: ThreadedUpstream, rng: random.Random, mixed: bool) -> None:
    clients = [server.client() for server in world]
    _, run, log = await _finished(clients[0], upstream)
    links: list[Link] = []
    after: str | None = None
    while stream := await follow(clients[len(links) % 2], run, after, protocol := _protocols(mixed, rng)):
        frame = await _one_frame(stream, rng)
        assert frame is not None, f"nothing came after {after}"
        links.append(Link(protocol, after, frame))
        after = frame.id
    _check_chain(links, log)


async def test_by_posting_again(world: Replicas, upstream: ThreadedUpstream, rng: random.Random) -> None:
    clients = [server.client() for server in world]
    conversation, _, log = await _finished(clients[0], upstream)
    sample = {*rng.sample(range(len(log)), len(log) // 4), 0, len(log) - 1}
    for index in sorted(sample):
        place = log[index].id
        async with await begin(
            clients[index % 2], conversation, "This starts nothing", last_event_id=place, protocol="events"
        ) as stream:
            assert events_of(await stream.rest()) == log[index + 1 :], place
    assert len(upstream.requests) == 1
    assert len(await clients[0].messages(conversation)) == 2


def _gated(rng: random.Random) -> tuple[Scenario, list[str]]:
    """An answer that waits before each of its words."""
    gates = [f"{rng.getrandbits(40):x}-{number}" for number in range(SIZES.cut_events)]
    pieces = [piece for number, gate in enumerate(gates) for piece in (Hold(gate), Text(f" w{number}"))]
    return Scenario(pieces=tuple(pieces)), gates


@pytest.mark.parametrize("mixed", [False, True], ids=["events", "mixed"])
async def test_while_the_run_is_live(
    world: Replicas, upstream: ThreadedUpstream, rng: random.Random, mixed: bool
) -> None:
    """The model says its next word before the client has come back, while it knocks, or when it already listens."""
    clients = [server.client() for server in world]
    conversation = await hire(clients[0], upstream)
    scenario, gates = _gated(rng)
    upstream.release(gates[0])
    first = await _one_frame(await begin(clients[0], conversation.id, script(scenario), protocol="events"), rng)
    assert first is not None
    run = first.json["run_id"]
    links = [Link("events", None, first)]
    words = 0
    while not _is_end(links[-1].frame):
        is_word = bool(_text(links[-1]))
        words += is_word
        opening = gates[words] if is_word and words < len(gates) else None
        after, protocol, moment = links[-1].frame.id, _protocols(mixed, rng), rng.choice(["before", "at once", "later"])
        if opening and moment != "later":
            upstream.release(opening)
            await asyncio.sleep(0.005 if moment == "before" else 0)
        stream = await followed(clients[len(links) % 2], run, after, protocol)
        if opening and moment == "later":
            upstream.release(opening)
        frame = await _one_frame(stream, rng)
        assert frame is not None, f"nothing came after {after}"
        links.append(Link(protocol, after, frame))
    log = await stored_log(clients[1], run)
    check_log(log)
    check_order(log)
    _check_chain(links, log)
    assert counting_text(log) == scenario.text
    assert await follow(clients[1], run, links[-1].frame.id) is None
    assert len(upstream.requests) == 1


def _is_end(frame: Frame) -> bool:
    return frame.event == "message_end" or (str(frame.event).startswith("run.") and frame.event != "run.started")
