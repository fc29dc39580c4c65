"""What the stored log of a run says, as far as it still counts."""

from collections.abc import Sequence

import msgspec
import structlog

from retinue.db.session import Unit
from retinue.domain import events as e
from retinue.domain.errors import StorageFailed
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position, parse_event_id
from retinue.domain.runs import Run
from retinue.runs.calls.results import log_entry
from retinue.runs.draft import Draft

_log = structlog.get_logger(__name__)

PAGE_ROWS = 64


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    events: Sequence[RecordedEvent]
    """What counts: without what later attempts took back."""
    count: int
    """Events stored, those included that were taken back."""
    last: Position
    """Where the stored log ends."""
    is_whole: bool
    """False if a part of it cannot be read."""

    def upto(self, boundary: Position | None) -> Sequence[RecordedEvent]:
        """The events up to a boundary; without one, those before the first step."""
        if boundary is not None:
            return [event for event in self.events if event.position <= boundary]
        steps = (number for number, event in enumerate(self.events) if isinstance(event.event, e.StepStarted))
        return self.events[: next(steps, len(self.events))]


async def read_log(unit: Unit, run: Run) -> Replay:
    """Read everything that is stored of a run's events."""
    kept: list[RecordedEvent] = []
    count, cursor, is_whole = 0, START, True
    try:
        while events := await unit.run_events.read(run.id, after=cursor, limit_rows=PAGE_ROWS):
            for event in events:
                _keep(kept, event)
            count += len(events)
            cursor = events[-1].position
    except StorageFailed:
        # Unreadable from here on. What could be read counts; the run must end.
        _log.error("events_unreadable", run_id=str(run.id), after=str(cursor))
        is_whole = False
    return Replay(events=kept, count=count, last=cursor, is_whole=is_whole)


def _keep(kept: list[RecordedEvent], event: RecordedEvent) -> None:
    if isinstance(event.event, e.AttemptStarted):
        last = parse_event_id(event.event.discard_after)[1] if event.event.discard_after else START
        while kept and last < kept[-1].position and kept[-1].attempt < event.attempt:
            kept.pop()
    kept.append(event)


def fill(draft: Draft, events: Sequence[RecordedEvent]) -> Draft:
    """Put text, reasoning and tool log of these events into the draft; usage comes from the ledger."""
    for recorded in events:
        match recorded.event:
            case e.TextDelta(delta=delta):
                draft.add_text(delta)
            case e.ReasoningDelta(delta=delta):
                draft.add_reasoning(delta)
            case e.ToolCallFinished() as call:
                draft.tool_log.append(log_entry(call))
            case _:
                pass
    return draft


def events_of_step(events: Sequence[RecordedEvent], attempt: int, step: int) -> Sequence[RecordedEvent]:
    """What an attempt recorded of a step; nothing if it never came to it."""
    own: list[RecordedEvent] = []
    number = 0
    for recorded in events:
        if isinstance(started := recorded.event, e.StepStarted):
            number = started.step
        if number == step and recorded.attempt == attempt:
            own.append(recorded)
    return own


def pieces(events: Sequence[RecordedEvent]) -> tuple[str, str, str]:
    """Text, reasoning and arguments in the events of a step."""
    text: list[str] = []
    reasoning: list[str] = []
    arguments: list[str] = []
    for recorded in events:
        match recorded.event:
            case e.TextDelta(delta=delta):
                text.append(delta)
            case e.ReasoningDelta(delta=delta):
                reasoning.append(delta)
            case e.ToolCallDelta(delta=delta):
                arguments.append(delta)
            case _:
                pass
    return "".join(text), "".join(reasoning), "".join(arguments)
