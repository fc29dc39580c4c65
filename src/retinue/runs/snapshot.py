"""Stands in for events that are not kept any more."""

from collections.abc import Sequence

from retinue.db.session import Unit
from retinue.domain.errors import StreamBroken
from retinue.domain.events import RecordedEvent, SnapshotTaken
from retinue.domain.ids import START, Position


async def with_snapshot(unit: Unit, cursor: Position, events: Sequence[RecordedEvent]) -> Sequence[RecordedEvent]:
    """The events as they are; with a snapshot before them, if there is a hole between them and the cursor.

    The snapshot stands at the position before the first event, so that whoever resumes behind it misses nothing.

    Raises:
        StreamBroken: there is a hole in the log of a run that was not pruned.
    """
    first = events[0]
    if _follows(cursor, first.position):
        return events
    run = await unit.runs.find(first.run_id)
    answer = await unit.messages.find(run.message_id) if run else None
    if run is None or answer is None or run.pruned_at is None:
        raise StreamBroken("The run's stored events have a hole.")
    snapshot = SnapshotTaken(
        conversation_id=run.conversation_id,
        employee_id=run.employee_id,
        user_message_id=run.user_message_id,
        message_id=run.message_id,
        status=run.status.value,
        text=answer.content,
        reasoning=answer.reasoning,
        tool_log=answer.tool_log,
    )
    attempt, seq = first.position
    return [RecordedEvent(run.id, attempt, seq - 1, first.at_ms, snapshot), *events]


def _follows(cursor: Position, first: Position) -> bool:
    """Whether nothing can be missing between them. Each attempt begins with 1; where it ends nobody knows."""
    if cursor == START or first.attempt > cursor.attempt:
        return first.seq == 1
    return first.seq == cursor.seq + 1
