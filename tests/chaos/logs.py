"""A run's log, and what every log must be."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple
from uuid import UUID

import msgspec

from tests.e2e.streams.runs import stored_events
from tests.support.client import RetinueClient
from tests.support.sse import Frame

TERMINAL = {"run.completed", "run.failed", "run.cancelled", "run.expired"}
Place = tuple[int, int]


class Event(NamedTuple):
    """A canonical event as a client reads it."""

    id: str
    data: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.data["type"])

    @property
    def place(self) -> Place:
        return place_of(self.id)

    @property
    def is_terminal(self) -> bool:
        return self.kind in TERMINAL


def place_of(event_id: str) -> Place:
    attempt, _, seq = event_id.partition(":")[2].partition("-")
    return int(attempt), int(seq)


def events_of(frames: Iterable[Frame]) -> list[Event]:
    """The events in frames of the `events` protocol."""
    return [Event(frame.id or "", frame.json) for frame in frames]


async def stored_log(client: RetinueClient, run: UUID | str, *, limit: int = 200) -> list[Event]:
    """`GET /runs/{id}/events`, all pages of it."""
    return [Event(data["id"], data) for data in await stored_events(client, run, limit=limit)]


def tail_of(events: Sequence[Event], count: int = 12) -> str:
    """The end of a log, for the message of a failed assertion."""
    return "\n".join(
        f"  {event.id.partition(':')[2]} {msgspec.json.encode(event.data)[:160].decode()}" for event in events[-count:]
    )


def counting_text(events: Iterable[Event]) -> str:
    """The answer's text as a client has it that obeys `attempt.started`: what came after `discard_after` is gone."""
    kept: list[tuple[Place, str]] = []
    for event in events:
        if event.kind == "attempt.started":
            limit = event.data["discard_after"]
            kept = [] if limit is None else [pair for pair in kept if pair[0] <= place_of(limit)]
        elif event.kind == "text.delta":
            kept.append((event.place, event.data["delta"]))
    return "".join(text for _, text in kept)


def check_order(events: Sequence[Event]) -> None:
    """What holds for everything that one client has read of a run, over any number of connections.

    Positions go up by one inside an attempt, each attempt begins at its first event, and nothing follows the end.
    """
    said = f"\n{tail_of(events)}"
    for before, event, following in zip([None, *events], events, [*events[1:], None], strict=False):
        attempt, seq = event.place
        place = f"{event.id} follows {'nothing' if before is None else before.id}{said}"
        assert event.id == f"{event.data['run_id']}:{attempt}-{seq}" == event.data["id"], said
        if before is not None and before.place[0] == attempt:
            assert seq == before.place[1] + 1, place
            continue
        assert seq == 1, place
        assert before is None or attempt > before.place[0], place
        assert before is not None or event.kind == "run.started", place
        if attempt > 1:
            _check_boundary(event, following, said)
    assert not any(event.is_terminal for event in events[:-1]), f"something follows the end{said}"


def _check_boundary(event: Event, following: Event | None, said: str) -> None:
    """An attempt begins by saying so. Where nothing of the log counts, that begins anew and says so next."""
    begins_anew = event.kind == "run.started"
    boundary = following if begins_anew else event
    if boundary is None:
        return
    assert boundary.kind == "attempt.started", f"an attempt that does not say so{said}"
    assert boundary.data["attempt"] == event.place[0], said
    limit = boundary.data["discard_after"]
    assert limit is None or (place_of(limit) < event.place and not begins_anew), said


def check_log(events: Sequence[Event]) -> dict[str, Any]:
    """A whole stored log of a run that is over; returns its terminal event, which must prove the rest."""
    check_order(events)
    said = f"\n{tail_of(events)}"
    assert events, "an empty log"
    end = events[-1]
    assert end.is_terminal, f"the log does not end{said}"
    assert end.data["event_count"] == len(events), f"event_count is not {len(events)}{said}"
    assert end.data["text_sha256"] == sha256(counting_text(events)), f"the text has another digest{said}"
    return end.data


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
