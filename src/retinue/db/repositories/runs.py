"""Runs: created once per conversation at a time, ended once."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.dialects.base import Insert
from retinue.db.repositories.base import TenantRepository, found
from retinue.db.repositories.money import cost_columns, cost_of
from retinue.domain.errors import Conflict, StorageFailed
from retinue.domain.runs import ACTIVE_STATUSES, Run, RunStatus
from retinue.domain.usage import Cost, GenerationStats, Usage

_PLAIN = tuple(name for name in Run.__struct_fields__ if name != "cost")
_IS_ACTIVE = t.Run.status.in_(ACTIVE_STATUSES)
_ADD_TRIES = 3


class RunRepository(TenantRepository):
    async def add(self, run: Run, *, owner: str, lease_seconds: float) -> None:
        """Store a new run under a lease. The transaction stays usable after a conflict.

        Raises:
            Conflict: code `conversation_busy`; the detail names the run that is active in the conversation.
            NotFound: the conversation or the employee is not there, or is another tenant's.
        """
        columns = {**{name: getattr(run, name) for name in _PLAIN}, **cost_columns(run.cost), "owner": owner}
        expiry = self._dialect.clock_after(lease_seconds)

        def under_lease(insert: Insert) -> Insert:
            return insert.values(lease_expires_at=expiry).on_conflict_do_nothing()

        for _ in range(_ADD_TRIES):  # the run in the way may end before it can be named
            if await self._add(t.Run, columns, refine=under_lease, missing="There is no such conversation."):
                return
            if (other := await self.active(run.conversation_id)) is not None:
                raise Conflict(f"Run {other.id} is active in this conversation.", code="conversation_busy")
        raise StorageFailed

    async def find(self, run_id: UUID) -> Run | None:
        return await self._one(t.Run.id == run_id)

    async def get(self, run_id: UUID) -> Run:
        """Raises: NotFound."""
        return found(await self.find(run_id), "run")

    async def list(self, conversation_id: UUID, *, limit: int, after: UUID | None = None) -> Sequence[Run]:
        """Oldest first, those after the run with the id `after`."""
        statement = self._select(t.Run).where(t.Run.conversation_id == conversation_id)
        if after is not None:
            statement = statement.where(t.Run.id > after)
        return [_run(row) for row in await self._executor.rows(statement.order_by(t.Run.id).limit(limit))]

    async def active(self, conversation_id: UUID) -> Run | None:
        """The conversation's run that has not ended; there is at most one."""
        return await self._one((t.Run.conversation_id == conversation_id) & _IS_ACTIVE)

    async def change_status(self, run_id: UUID, attempt: int, *, status: RunStatus) -> bool:
        """Move between the active states; false if the run has ended or belongs to another attempt."""
        return await self._executor.change(self._held(run_id, attempt), {"status": status}) == 1

    async def claim(self, run_id: UUID, attempt: int, *, owner: str, lease_seconds: float) -> Run | None:
        """Take over a run whose lease has run out on the database's clock, under the next attempt.

        None if it has ended, was taken over already, or its owner lives.
        """
        statement = self._held(run_id, attempt).where(t.Run.lease_expires_at < self._dialect.clock())
        row = await self._executor.row(
            statement.values(
                attempt=attempt + 1, owner=owner, lease_expires_at=self._dialect.clock_after(lease_seconds)
            ).returning(t.Run)
        )
        return None if row is None else _run(row)

    async def finish(
        self,
        run_id: UUID,
        attempt: int,
        *,
        status: RunStatus,
        finish_reason: str | None,
        error_code: str | None,
        usage: Usage | None,
        cost: Cost | None,
        generation_stats: GenerationStats | None,
        event_count: int | None,
        text_sha256: str | None,
        at: datetime,
    ) -> bool:
        """End the run, once; false and nothing written if it has ended or belongs to another attempt."""
        values = {
            "status": status,
            "finish_reason": finish_reason,
            "error_code": error_code,
            "usage": usage,
            "generation_stats": generation_stats,
            "event_count": event_count,
            "text_sha256": text_sha256,
            "finished_at": at,
            "owner": None,
            "lease_expires_at": None,
            **cost_columns(cost),
        }
        return await self._executor.change(self._held(run_id, attempt), values) == 1

    def _held(self, run_id: UUID, attempt: int) -> sa.Update:
        """Every write of a runner: it changes nothing once its attempt is old."""
        return self._update(t.Run).where(t.Run.id == run_id, t.Run.attempt == attempt, _IS_ACTIVE)

    async def _one(self, condition: sa.ColumnElement[bool]) -> Run | None:
        row = await self._executor.row(self._select(t.Run).where(condition))
        return None if row is None else _run(row)


def _run(row: sa.Row[Any]) -> Run:
    return Run(**{name: getattr(row, name) for name in _PLAIN}, cost=cost_of(row))
