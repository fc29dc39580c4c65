"""Checkpoints: the complete steps of runs that have not ended."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.dialects.base import Insert
from retinue.db.prepared import prepared
from retinue.db.repositories.fenced import FencedRepository
from retinue.domain.ids import Position
from retinue.domain.runs import Checkpoint

_REPLACED = ("attempt", "seq", "turns")


class CheckpointRepository(FencedRepository):
    async def add(self, checkpoint: Checkpoint, attempt: int) -> bool:
        """Store a complete step, in place of what was stored for it before.

        False, and nothing is stored, if the run is not there or has gone on to another attempt.
        """
        values = {
            "run_id": checkpoint.run_id,
            "step": checkpoint.step,
            "attempt": checkpoint.position.attempt,
            "seq": checkpoint.position.seq,
            "turns": checkpoint.turns,
        }
        return await self._executor.change(self._stored(checkpoint.run_id, attempt).giving(values)) == 1

    async def last(self, run_id: UUID) -> Checkpoint | None:
        row = await self._executor.row(self._of(run_id).order_by(t.Checkpoint.step.desc()).limit(1))
        return None if row is None else _checkpoint(row)

    async def list(self, run_id: UUID) -> Sequence[Checkpoint]:
        """In the order of the steps."""
        return [_checkpoint(row) for row in await self._executor.rows(self._of(run_id).order_by(t.Checkpoint.step))]

    @prepared
    def _stored(self, run_id: UUID, attempt: int) -> Insert:
        insert = self._fenced_insert(t.Checkpoint, run_id, attempt, ("run_id", "step", *_REPLACED))
        replaced = {name: insert.excluded[name] for name in _REPLACED}
        return insert.on_conflict_do_update(index_elements=["tenant_id", "run_id", "step"], set_=replaced)

    def _of(self, run_id: UUID) -> sa.Select[Any]:
        return self._select(t.Checkpoint).where(t.Checkpoint.run_id == run_id)


def _checkpoint(row: sa.Row[Any]) -> Checkpoint:
    return Checkpoint(run_id=row.run_id, step=row.step, position=Position(row.attempt, row.seq), turns=row.turns)
