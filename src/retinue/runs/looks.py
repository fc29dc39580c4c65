"""What the database knows of runs and conversations, shared by all who follow them."""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from retinue.db.session import Database, Unit
from retinue.domain.conversations import ConversationStatus
from retinue.domain.errors import NotFound, StreamBroken
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position
from retinue.domain.runs import ACTIVE_STATUSES, Run, RunStatus
from retinue.runs.sharing import Shared
from retinue.runs.snapshot import with_snapshot

PAGE_ROWS = 8
"""Rows of the stored log that are read at once; one row holds up to a batch of events."""
NOTHING_NEW_SECONDS = 0.5
"""How long it is believed that a run has nothing new."""


class Look(msgspec.Struct, frozen=True, kw_only=True):
    events: Sequence[RecordedEvent] = ()
    """The next events after a position. Empty: there are none yet, or, if `is_over`, there will be none."""
    conversation_id: UUID | None = None
    is_over: bool = False
    """The run has ended, and nothing comes after the position."""
    is_waiting: bool = False
    """The run waits for a person; nothing comes after the position before that person acts."""
    is_held_up: bool = False
    """The run is queued behind one that waits for a person."""
    last: Position = START
    """Where the log of a run that is over ends."""


class NextRun(msgspec.Struct, frozen=True):
    run: Run | None
    is_last: bool
    """The conversation is closed and nothing waits in it."""


class Looks:
    """Reads for followers. Those who want the same at about the same time share one read, and one who goes away in the
    middle of it does not cost the connection.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._looks: Shared[Look] = Shared()
        self._next_runs: Shared[NextRun] = Shared()
        self._waits: Shared[bool] = Shared()

    async def after(self, tenant_id: UUID, run_id: UUID, cursor: Position, *, is_final: bool = False) -> Look:
        """What comes after a position; that nothing does may be half a second old, unless it is final.

        Raises:
            StreamBroken: the run was deleted.
            Unavailable, StorageFailed: of the database.
        """
        key = (tenant_id, run_id, cursor)
        if is_final:
            return await self._looks.fresh(key, lambda: self._look(tenant_id, run_id, cursor))
        return await self._looks.recent(key, lambda: self._look(tenant_id, run_id, cursor), _good_for)

    async def next_run(self, tenant_id: UUID, conversation_id: UUID, ordinal: int) -> NextRun:
        """The run that started after the one with that ordinal, as of now.

        Raises:
            StreamBroken: the conversation was deleted.
            Unavailable: of the database.
        """
        return await self._next_runs.fresh(
            (tenant_id, conversation_id, ordinal), lambda: self._next_run(tenant_id, conversation_id, ordinal)
        )

    async def read(self, tenant_id: UUID, run_id: UUID, after: Position, limit: int) -> Sequence[RecordedEvent]:
        """The stored events after a position, at most `limit`, as of now.

        Raises:
            NotFound: no such run.
        """
        events: list[RecordedEvent] = []
        while len(events) < limit:
            try:
                look = await self._look(tenant_id, run_id, after)
            except _Deleted:
                raise NotFound("There is no such run.") from None
            if not look.events:
                break
            events += look.events
            after = look.events[-1].position
        return events[:limit]

    async def waits_at(self, tenant_id: UUID, run_id: UUID, position: Position) -> bool:
        """Whether the run waits for a person, as of now, and has done so since this position.

        Raises:
            Unavailable: of the database.
        """
        key = (tenant_id, run_id, position)
        return await self._waits.fresh(key, lambda: self._waits_at(tenant_id, run_id, position))

    async def _waits_at(self, tenant_id: UUID, run_id: UUID, position: Position) -> bool:
        async with self._database.unit(tenant_id, read_only=True) as unit:
            run = await unit.runs.find(run_id)
            if run is None or run.status is not RunStatus.WAITING:
                return False
            return await unit.run_events.last_position(run_id) == position

    async def _look(self, tenant_id: UUID, run_id: UUID, cursor: Position) -> Look:
        async with self._database.unit(tenant_id, read_only=True) as unit:
            read = unit.run_events.read
            if events := await read(run_id, after=cursor, limit_rows=PAGE_ROWS):
                return Look(events=await with_snapshot(unit, cursor, events))
            run = await unit.runs.find(run_id)
            if run is None:
                raise _Deleted("The run was deleted.")
            if run.status in ACTIVE_STATUSES:
                return Look(
                    conversation_id=run.conversation_id,
                    is_waiting=run.status is RunStatus.WAITING,
                    is_held_up=run.status is RunStatus.QUEUED and await _is_held_up(unit, run),
                )
            # The end and its event are one commit: once the run is over, one more look finds all there is.
            if events := await read(run_id, after=cursor, limit_rows=PAGE_ROWS):
                return Look(events=await with_snapshot(unit, cursor, events))
            last = await unit.run_events.last_position(run_id)
            return Look(conversation_id=run.conversation_id, is_over=True, last=last)

    async def _next_run(self, tenant_id: UUID, conversation_id: UUID, ordinal: int) -> NextRun:
        async with self._database.unit(tenant_id, read_only=True) as unit:
            # In this order: what is closed queues nothing new, and what is not queued starts no more. The other way
            # round a run that leaves the queue between two reads would be in neither.
            conversation = await unit.conversations.find(conversation_id)
            if conversation is None:
                raise StreamBroken("The conversation was deleted.")
            is_closed = conversation.status is ConversationStatus.CLOSED
            is_last = is_closed and not await unit.runs.queued(conversation_id)
            return NextRun(await unit.runs.next_started(conversation_id, ordinal), is_last)


class _Deleted(StreamBroken):
    """The run is gone."""


async def _is_held_up(unit: Unit, run: Run) -> bool:
    active = await unit.runs.active(run.conversation_id)
    return active is not None and active.status is RunStatus.WAITING


def _good_for(look: Look) -> float:
    leads_on = look.events or look.is_over or look.is_waiting or look.is_held_up
    return 0.0 if leads_on else NOTHING_NEW_SECONDS
