"""The event log of runs, in rows that hold contiguous ranges."""

from collections.abc import Iterator, Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.changes import Change
from retinue.db.dialects.base import Insert
from retinue.db.prepared import prepared
from retinue.db.repositories.base import has_changed
from retinue.db.repositories.fenced import FencedRepository
from retinue.domain.errors import InternalError
from retinue.domain.event_codec import pack, unpack
from retinue.domain.events import RecordedEvent
from retinue.domain.ids import START, Position

_KEY = ["tenant_id", "run_id", "attempt", "first_seq"]
_NAMES = ("run_id", "attempt", "first_seq", "last_seq", "payload")


class RunEventRepository(FencedRepository):
    async def add(self, run_id: UUID, attempt: int, events: Sequence[RecordedEvent]) -> bool:
        """Store a contiguous range of one attempt as one row; times keep milliseconds.

        Storing a range again, longer or not, is harmless: a writer whose commit's answer got lost may repeat it.
        False, and nothing is stored, if the run is not there or has gone on to another attempt.

        Raises:
            InternalError: the range has a hole or is of another run or attempt.
        """
        return not events or await self._executor.carry_out(self.adding(run_id, attempt, events))

    def adding(self, run_id: UUID, attempt: int, events: Sequence[RecordedEvent]) -> Change[bool]:
        """The same for events that there are, for `Unit.together`; not beside another change of the run."""
        _check_range(run_id, attempt, events)
        return Change(self._stored(run_id, attempt).giving(_columns(events)), has_changed)

    def adding_last(self, run_id: UUID, attempt: int, events: Sequence[RecordedEvent]) -> Change[bool]:
        """The same beside `RunRepository.finishing`, which finds out whether the run is in this attempt."""
        _check_range(run_id, attempt, events)
        return self._storing(self._kept(), _columns(events), tell=has_changed)

    async def read(self, run_id: UUID, *, after: Position = START, limit_rows: int = 100) -> Sequence[RecordedEvent]:
        """The events after a position, in order, each once, out of at most `limit_rows` rows.

        Empty means that nothing after the position is stored yet.
        """
        statement = self._of(run_id).where(
            sa.or_(
                t.RunEvents.attempt > after.attempt,
                sa.and_(t.RunEvents.attempt == after.attempt, t.RunEvents.last_seq > after.seq),
            )
        )
        order = (t.RunEvents.attempt, t.RunEvents.first_seq)
        rows = await self._executor.rows(statement.order_by(*order).limit(limit_rows))
        return list(_in_order(rows, after))

    async def last_position(self, run_id: UUID) -> Position:
        """Where the stored log ends; `START` if nothing is stored."""
        row = await self._last_row(run_id)
        return START if row is None else Position(row.attempt, row.last_seq)

    async def count(self, run_id: UUID) -> int:
        """The stored events of all attempts, as long as the log was not pruned."""
        # Ranges may overlap; but they leave no hole in an attempt, so that its last number is its count.
        statement = self._select(t.RunEvents, sa.func.max(t.RunEvents.last_seq))
        statement = statement.where(t.RunEvents.run_id == run_id).group_by(t.RunEvents.attempt)
        return sum([row[0] for row in await self._executor.rows(statement)])

    async def prune(self, run_id: UUID) -> bool:
        """Reduce the log to its terminal event, in a row of its own, and drop the checkpoints, which nothing needs any
        more. Pruning again is harmless.

        False, and nothing is changed, if the log does not end with a terminal event.
        """
        row = await self._last_row(run_id)
        if row is None:
            return False
        *_, last = unpack(row.payload, run_id, row.attempt, row.first_seq)
        if not last.is_terminal:
            return False
        await self._add(t.RunEvents, _columns([last]), refine=lambda insert: insert.on_conflict_do_nothing())
        is_last = (t.RunEvents.attempt == last.attempt) & (t.RunEvents.first_seq == last.seq)
        await self._executor.change(self._delete(t.RunEvents).where(t.RunEvents.run_id == run_id, ~is_last))
        await self._executor.change(self._delete(t.Checkpoint).where(t.Checkpoint.run_id == run_id))
        return True

    @prepared
    def _stored(self, run_id: UUID, attempt: int) -> Insert:
        return _longest(self._fenced_insert(t.RunEvents, run_id, attempt, _NAMES))

    @prepared
    def _kept(self) -> Insert:
        return _longest(self._insert(t.RunEvents))

    async def _last_row(self, run_id: UUID) -> sa.Row[Any] | None:
        order = (t.RunEvents.attempt.desc(), t.RunEvents.last_seq.desc())
        return await self._executor.row(self._of(run_id).order_by(*order).limit(1))

    def _of(self, run_id: UUID) -> sa.Select[Any]:
        return self._select(t.RunEvents).where(t.RunEvents.run_id == run_id)


def _longest(insert: Insert) -> Insert:
    """Of two ranges that begin at the same event, the longer one is kept."""
    is_longer = insert.excluded.last_seq > t.RunEvents.last_seq
    return insert.on_conflict_do_update(
        index_elements=_KEY,
        set_={
            "payload": sa.case((is_longer, insert.excluded.payload), else_=t.RunEvents.payload),
            "last_seq": sa.case((is_longer, insert.excluded.last_seq), else_=t.RunEvents.last_seq),
        },
    )


def _check_range(run_id: UUID, attempt: int, events: Sequence[RecordedEvent]) -> None:
    for seq, event in enumerate(events, events[0].seq):
        if event.run_id != run_id or event.attempt != attempt or event.seq != seq:
            raise InternalError("Run events must be stored in unbroken ranges.")


def _columns(events: Sequence[RecordedEvent]) -> dict[str, Any]:
    first, last = events[0], events[-1]
    return {
        "run_id": first.run_id,
        "attempt": first.attempt,
        "first_seq": first.seq,
        "last_seq": last.seq,
        "payload": pack(events),
    }


def _in_order(rows: Sequence[sa.Row[Any]], after: Position) -> Iterator[RecordedEvent]:
    last = after
    for row in rows:
        for event in unpack(row.payload, row.run_id, row.attempt, row.first_seq):
            if event.position > last:
                last = event.position
                yield event
