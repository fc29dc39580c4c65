"""Runs as clients follow, list and stop them, and what a client makes of the frames it got."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import groupby
from typing import Any, Literal
from urllib.parse import urlencode
from uuid import UUID

import msgspec

from retinue.domain.conversations import Conversation
from retinue.domain.runs import Run
from tests.e2e.streams.talk import check_frames
from tests.support import http1
from tests.support.client import Answer, RetinueClient
from tests.support.sse import EventStream, Frame
from tests.support.upstream import Scenario
from tests.support.upstream.catalogue import SCENARIO_MARK

Protocol = Literal["messages", "events"]
PROTOCOLS: tuple[Protocol, ...] = ("messages", "events")
ENDS = {"message_end", "run.completed", "run.failed", "run.cancelled"}


def script(scenario: Scenario) -> str:
    """A message that makes the fake upstream play this scenario, whoever asks, however often."""
    return SCENARIO_MARK + msgspec.json.encode(scenario).decode()


async def look(
    client: RetinueClient, path: str, *, last_event_id: str | None = None, **query: str | None
) -> http1.Response:
    """The response to an EventSource, whatever its status."""
    given = {name: value for name, value in query.items() if value is not None}
    headers = {"accept": "text/event-stream"} | ({} if last_event_id is None else {"last-event-id": last_event_id})
    return await client._open("GET", path + (f"?{urlencode(given)}" if given else ""), None, None, headers)


async def follow(client: RetinueClient, path: str, **options: str | None) -> EventStream:
    """A stream that an EventSource gets; see `look`."""
    response = await look(client, path, **options)
    assert response.status == 200, (response.status, await response.read())
    assert response.header("content-type") == "text/event-stream; charset=utf-8"
    return EventStream(response)


async def expect_nothing(client: RetinueClient, path: str, **options: str | None) -> None:
    """204: an EventSource does not come back."""
    async with await look(client, path, **options) as response:
        assert (response.status, await response.read()) == (204, b"")


async def run_of(client: RetinueClient, run: UUID | str) -> Run:
    return (await client.get(f"/runs/{run}")).expect(200).as_type(Run)


async def runs_of(client: RetinueClient, conversation: UUID, status: str | None = None) -> list[Run]:
    query = "" if status is None else f"?status={status}"
    return (await client.get(f"/conversations/{conversation}/runs{query}")).expect(200).as_type(list[Run])


async def cancel(client: RetinueClient, run: UUID | str) -> Answer:
    return await client.post(f"/runs/{run}/cancel")


async def stored_events(client: RetinueClient, run: UUID | str, *, limit: int = 200) -> list[dict[str, Any]]:
    """`GET /runs/{id}/events`, all pages of it."""
    path: str | None = f"/runs/{run}/events?limit={limit}"
    found: list[dict[str, Any]] = []
    while path is not None:
        answer = (await client.get(path)).expect(200)
        assert len(answer.json) <= limit
        found += answer.json
        link = answer.header("link")
        path = None if link is None else link.partition("<")[2].partition(">")[0]
    return found


def events_of(conversation: Conversation) -> str:
    return f"/conversations/{conversation.id}/events"


async def to_end_of(stream: EventStream, count: int = 1) -> list[Frame]:
    """Everything up to the end of so many more runs."""
    frames: list[Frame] = []
    async with asyncio.timeout(20):
        while sum(frame.event in ENDS for frame in frames) < count:
            frames.append(await anext(stream))
    return frames


async def place_told(stream: EventStream) -> str:
    """The id with which the stream of a conversation begins in which nothing runs."""
    async with asyncio.timeout(10):
        frame, *stream._ready = stream._parser.feed(await anext(stream._pieces))
    assert (frame.event, frame.data, frame.comments) == (None, None, ("connected",))
    assert frame.id is not None
    return frame.id


def run_id(frame: Frame) -> str:
    return str(frame.json["run_id"])


def places(frames: Iterable[Frame]) -> list[str | None]:
    """Where the frames stand in their run: `1-7`, or nothing."""
    return [frame.id and frame.id.partition(":")[2] for frame in frames]


def bare(frames: Iterable[Frame]) -> list[Frame]:
    """The frames without the comments before them, which belong to a connection and not to a run."""
    return [replace(frame, comments=(), raw=b"") for frame in frames]


def by_run(frames: Sequence[Frame]) -> dict[str, list[Frame]]:
    """The runs that one stream has told, one after the other; each is told in one piece."""
    groups = [(run, list(group)) for run, group in groupby(frames, key=run_id)]
    assert len({run for run, _ in groups}) == len(groups), "runs are mixed"
    for _, group in groups:
        check_frames(group)
    return dict(groups)


def counting_text(frames: Iterable[Frame]) -> str:
    """The answer as a client has it that takes back what came after `discard_after`."""
    kept: list[tuple[tuple[int, int], str]] = []
    for frame in frames:
        match frame.event:
            case "attempt_started" | "attempt.started":
                after = frame.json["discard_after"]
                kept = [] if after is None else [pair for pair in kept if pair[0] <= position(after)]
            case "token" | "text.delta":
                kept.append((position(frame.id or ""), frame.json.get("content") or frame.json.get("delta")))
            case "snapshot" | "snapshot.taken":
                kept = [(position(frame.id or ""), frame.json["text"])]
    return "".join(text for _, text in kept)


def position(event_id: str) -> tuple[int, int]:
    attempt, _, seq = event_id.partition(":")[2].partition("-")
    return int(attempt), int(seq)


def check_proof(frames: Sequence[Frame]) -> dict[str, Any]:
    """The end of a run that was told from its beginning, which must prove the text."""
    end: dict[str, Any] = frames[-1].json
    assert frames[-1].event in ENDS, frames[-1]
    assert end["text_sha256"] == sha256(counting_text(frames).encode()).hexdigest()
    return end
