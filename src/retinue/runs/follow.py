"""Reads a run's events from any position, live or later."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from uuid import UUID

from retinue.coordination.base import EventLog, Tail
from retinue.db.session import Database
from retinue.domain.errors import StreamBroken
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position
from retinue.domain.runs import ACTIVE_STATUSES

POLL_SECONDS = 0.5
PAGE_ROWS = 16
"""Rows of the stored log that are read at once; one row holds up to a batch of events."""


class Follower:
    """Merges the live tail with the stored log.

    Guarantees: events come in the order of their positions, each once, without a hole; the last one is terminal. A
    reader that takes its time makes nobody else wait: what it misses live it reads from the database. No connection is
    held between two batches.
    """

    def __init__(self, database: Database, log: EventLog, stopping: asyncio.Event) -> None:
        self._database = database
        self._log = log
        self._stopping = stopping

    async def follow(
        self, tenant_id: UUID, run_id: UUID, after: Position = START
    ) -> AsyncGenerator[Sequence[RecordedEvent], None]:
        """Yield batches until the run has ended.

        Raises:
            StreamBroken: the run's end could not be stored, the run was deleted, it ended before it came to `after`,
                or this process stops while the run goes on elsewhere.
        """
        cursor, was_over = after, False
        while True:
            async with self._log.tail(run_id) as tail:
                while events := await self._next(tail, tenant_id, run_id, cursor):
                    yield events
                    cursor = events[-1].position
                    if events[-1].is_terminal:
                        return
            if was_over:
                await self._require_reached(tenant_id, run_id, cursor)
                return
            # The end and its event are one commit: once the run is over, one more look finds all there is.
            was_over = await self._is_over(tenant_id, run_id)
            if not was_over:
                await self._pause()

    async def _next(self, tail: Tail, tenant_id: UUID, run_id: UUID, cursor: Position) -> Sequence[RecordedEvent]:
        """Wait for what comes after `cursor`; empty if the tail is closed and the database has no more."""
        while True:
            batch = await tail.take(cursor)
            if batch.is_broken and not batch.has_gap:
                raise StreamBroken
            events = batch.events or await self._stored(tenant_id, run_id, cursor)
            if events or (batch.is_closed and not batch.is_broken):
                return events
            if batch.is_broken:
                raise StreamBroken
            await self._pause()

    async def _is_over(self, tenant_id: UUID, run_id: UUID) -> bool:
        async with self._database.unit(tenant_id, read_only=True) as unit:
            run = await unit.runs.find(run_id)
        if run is None:
            raise StreamBroken
        return run.status not in ACTIVE_STATUSES

    async def _require_reached(self, tenant_id: UUID, run_id: UUID, cursor: Position) -> None:
        """A reader that asked for more than the run came to has not read its end and must not be told so."""
        async with self._database.unit(tenant_id, read_only=True) as unit:
            if await unit.run_events.last_position(run_id) < cursor:
                raise StreamBroken

    async def _stored(self, tenant_id: UUID, run_id: UUID, after: Position) -> Sequence[RecordedEvent]:
        async with self._database.unit(tenant_id, read_only=True) as unit:
            return await unit.run_events.read(run_id, after=after, limit_rows=PAGE_ROWS)

    async def _pause(self) -> None:
        """The run is alive in another process, or its newest events are on their way to the database."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._stopping.wait()
        except TimeoutError:
            return
        raise StreamBroken
