"""Stores run events in batches, one writer per process."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING
from uuid import UUID

import structlog

from retinue.db.scripts import Script
from retinue.db.session import Database, Unit
from retinue.domain.errors import RetinueError, Unavailable
from retinue.domain.events import RecordedEvent

if TYPE_CHECKING:
    from retinue.runs.recorder import Recorder

    Taken = Sequence[tuple[Recorder, Sequence[RecordedEvent]]]

AT_ONCE = 8
"""Runs whose events go in one statement. For each number of them up to this, the database keeps one."""

_log = structlog.get_logger(__name__)


class EventWriter:
    """Writes at most `flush_seconds` after an event came, or as soon as one run has `batch` events waiting.

    A batch that the database does not take is kept and tried again with the next one.
    """

    def __init__(self, database: Database, *, batch: int = 512, flush_seconds: float = 0.25) -> None:
        self._database = database
        self._batch = batch
        self._flush_seconds = flush_seconds
        self._dirty: set[Recorder] = set()
        self._work = asyncio.Event()
        self._is_full = asyncio.Event()

    def notice(self, recorder: "Recorder", waiting: int) -> None:
        """A recorder has `waiting` unstored events."""
        self._dirty.add(recorder)
        if not self._work.is_set():
            self._work.set()
        if waiting >= self._batch and not self._is_full.is_set():
            self._is_full.set()

    def forget(self, recorder: "Recorder") -> None:
        """The run stores the rest of its events itself, together with its end."""
        self._dirty.discard(recorder)

    async def run(self) -> None:
        """Write until cancelled."""
        while True:
            await self._work.wait()
            await self._wait_for_more()
            self._work.clear()
            self._is_full.clear()
            recorders, self._dirty = self._dirty, set()
            await self._write(recorders)

    async def _wait_for_more(self) -> None:
        try:
            async with asyncio.timeout(self._flush_seconds):
                await self._is_full.wait()
        except TimeoutError:
            pass

    async def _write(self, recorders: Iterable["Recorder"]) -> None:
        by_tenant: dict[UUID, list[Recorder]] = defaultdict(list)
        for recorder in recorders:
            by_tenant[recorder.tenant_id].append(recorder)
        for tenant_id, group in by_tenant.items():
            await self._write_group(tenant_id, group)

    async def _write_group(self, tenant_id: UUID, group: list["Recorder"]) -> None:
        error = await self._try_group(tenant_id, group)
        if error is None:
            return
        if len(group) > 1 and not isinstance(error, Unavailable):
            # It is not the database but one of the runs: it must not hold up its neighbours.
            for recorder in group:
                await self._write_group(tenant_id, [recorder])
            return
        for recorder in group:
            self.notice(recorder, 0)
        is_expected = isinstance(error, RetinueError)
        trace = None if is_expected else error
        _log.warning("events_not_stored", tenant_id=str(tenant_id), runs=len(group), exc_info=trace)

    async def _try_group(self, tenant_id: UUID, group: list["Recorder"]) -> Exception | None:
        """Write everything that waits in one transaction; if that fails, all of it waits again."""
        async with AsyncExitStack() as locks:
            for recorder in group:
                await locks.enter_async_context(recorder.writing)
            taken = [(recorder, recorder.take_unstored()) for recorder in group]
            try:
                there = [(recorder, events) for recorder, events in taken if events]
                if there:
                    await self._store(tenant_id, there)
            except BaseException as error:
                for recorder, events in taken:
                    recorder.put_back(events)
                if not isinstance(error, Exception):
                    for recorder in group:
                        self.notice(recorder, 0)
                    raise
                return error
        return None

    async def _store(self, tenant_id: UUID, taken: "Taken") -> None:
        async with self._database.unit(tenant_id) as unit:
            for recorder in await unit.end_with(_storing(unit, taken)):
                recorder.on_lost()


def _storing(unit: Unit, taken: "Taken") -> "Script[Sequence[Recorder]]":
    """Those whose events are not wanted any more."""
    lost: list[Recorder] = []
    for first in range(0, len(taken), AT_ONCE):
        some = taken[first : first + AT_ONCE]
        told = yield [unit.run_events.adding(recorder.run_id, recorder.attempt, events) for recorder, events in some]
        lost += [recorder for (recorder, _), is_ours in zip(some, told, strict=True) if not is_ours]
    return lost
