"""The event log of runs, in rows that hold contiguous ranges."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.encoding import encode
from retinue.db.repositories.base import TenantRepository
from retinue.domain.errors import InternalError, StorageFailed
from retinue.domain.events import RecordedEvent, RunEvent
from retinue.domain.ids import START, Position

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_decoder = msgspec.json.Decoder(list[tuple[int, RunEvent]])
_COLUMNS = ("tenant_id", "run_id", "attempt", "first_seq", "last_seq", "payload")


class RunEventRepository(TenantRepository):
    async def add(self, run_id: UUID, attempt: int, events: Sequence[RecordedEvent]) -> bool:
        """Store a contiguous range of one attempt as one row; times keep milliseconds.

        Storing a range again, longer or not, is harmless: a writer whose commit's answer got lost may repeat it.
        False, and nothing is stored, if the run is not there or has gone on to another attempt.

        Raises:
            InternalError: the range has a hole or is of another run or attempt.
        """
        if not events:
            return True
        first, last = _range(run_id, attempt, events)
        values = {"run_id": run_id, "attempt": attempt, "first_seq": first, "last_seq": last, "payload": _pack(events)}
        literals = [sa.literal(value, _type(name)).label(name) for name, value in values.items()]
        fenced = self._select(t.Run, t.Run.tenant_id, *literals).where(t.Run.id == run_id, t.Run.attempt == attempt)
        insert = self._insert_from(t.RunEvents, _COLUMNS, fenced)
        statement = insert.on_conflict_do_update(
            index_elements=["tenant_id", "run_id", "attempt", "first_seq"],
            set_={
                "payload": sa.case(
                    (insert.excluded.last_seq > t.RunEvents.last_seq, insert.excluded.payload),
                    else_=t.RunEvents.payload,
                ),
                "last_seq": sa.case(
                    (insert.excluded.last_seq > t.RunEvents.last_seq, insert.excluded.last_seq),
                    else_=t.RunEvents.last_seq,
                ),
            },
        )
        return await self._executor.change(statement) == 1

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
        order = (t.RunEvents.attempt.desc(), t.RunEvents.last_seq.desc())
        row = await self._executor.row(self._of(run_id).order_by(*order).limit(1))
        return START if row is None else Position(row.attempt, row.last_seq)

    def _of(self, run_id: UUID) -> sa.Select[Any]:
        return self._select(t.RunEvents).where(t.RunEvents.run_id == run_id)


def _range(run_id: UUID, attempt: int, events: Sequence[RecordedEvent]) -> tuple[int, int]:
    first = events[0].position.seq
    for seq, event in enumerate(events, first):
        if event.run_id != run_id or event.position != (attempt, seq):
            raise InternalError("Run events must be stored in unbroken ranges.")
    return first, first + len(events) - 1


def _type(column: str) -> Any:
    return t.RunEvents.__table__.c[column].type


def _pack(events: Sequence[RecordedEvent]) -> bytes:
    return encode([((event.at - _EPOCH) // _MILLISECOND, event.event) for event in events])


def _in_order(rows: Sequence[sa.Row[Any]], after: Position) -> Iterator[RecordedEvent]:
    last = after
    for row in rows:
        for seq, (at, event) in enumerate(_unpack(row.payload), row.first_seq):
            position = Position(row.attempt, seq)
            if position > last:
                last = position
                yield RecordedEvent(row.run_id, position, _EPOCH + at * _MILLISECOND, event)


def _unpack(payload: bytes) -> list[tuple[int, RunEvent]]:
    try:
        return _decoder.decode(payload)
    except msgspec.MsgspecError as error:
        raise StorageFailed("The run's stored events cannot be read.") from error
