"""Looking for runs."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.prepared import Asked, prepared
from retinue.db.repositories.base import TenantRepository, found
from retinue.db.repositories.conditions import has_started
from retinue.db.repositories.money import cost_of
from retinue.domain.runs import ACTIVE_STATUSES, Run, RunStatus

PLAIN = tuple(name for name in Run.__struct_fields__ if name != "cost")


class RunReads(TenantRepository):
    async def find(self, run_id: UUID) -> Run | None:
        return await self._one(self._with_id(run_id))

    async def get(self, run_id: UUID) -> Run:
        """Raises: NotFound."""
        return found(await self.find(run_id), "run")

    async def list(
        self, conversation_id: UUID, *, limit: int, after: UUID | None = None, status: RunStatus | None = None
    ) -> Sequence[Run]:
        """Oldest first, those after the run with the id `after`."""
        statement = self._of(conversation_id).order_by(t.Run.id).limit(limit)
        if after is not None:
            statement = statement.where(t.Run.id > after)
        if status is not None:
            statement = statement.where(t.Run.status == status)
        return await self._all(statement)

    async def active(self, conversation_id: UUID) -> Run | None:
        """The conversation's run that has started and not ended; there is at most one."""
        return await self._one(self._started(conversation_id))

    async def queued(self, conversation_id: UUID) -> Sequence[Run]:
        """Those that wait to start, in the order in which they do."""
        return await self._all(self._waiting_to_start(conversation_id))

    async def unfinished_conversations(self) -> Sequence[UUID]:
        """Every conversation of the tenant in which a run has not ended."""
        statement = self._select(t.Run, t.Run.conversation_id).where(t.Run.status.in_(ACTIVE_STATUSES)).distinct()
        return [row.conversation_id for row in await self._executor.rows(statement)]

    async def next_ordinal(self, conversation_id: UUID) -> int:
        """The ordinal of the run that starts next, provided that the caller holds the conversation's lock."""
        ordinal: int = await self._executor.scalar(self._next_ordinal(conversation_id))
        return ordinal

    async def next_started(self, conversation_id: UUID, after_ordinal: int) -> Run | None:
        """The run that started first after the one with that ordinal, ended or not; 0 stands before every run."""
        statement = self._of(conversation_id).where(t.Run.ordinal > after_ordinal)
        return await self._one(statement.order_by(t.Run.ordinal).limit(1))

    @prepared
    def _with_id(self, run_id: UUID) -> sa.Select[Any]:
        return self._select(t.Run).where(t.Run.id == run_id)

    @prepared
    def _started(self, conversation_id: UUID) -> sa.Select[Any]:
        return self._of(conversation_id).where(has_started())

    @prepared
    def _waiting_to_start(self, conversation_id: UUID) -> sa.Select[Any]:
        statement = self._of(conversation_id).where(t.Run.status == RunStatus.QUEUED)
        return statement.order_by(t.Run.is_urgent.desc(), t.Run.position)

    def _of(self, conversation_id: UUID) -> sa.Select[Any]:
        return self._select(t.Run).where(t.Run.conversation_id == conversation_id)

    def _next_ordinal(self, conversation_id: UUID) -> sa.Select[Any]:
        statement = self._select(t.Run, sa.func.coalesce(sa.func.max(t.Run.ordinal), 0) + 1)
        return statement.where(t.Run.conversation_id == conversation_id)

    async def _one(self, statement: sa.Executable | Asked) -> Run | None:
        """The run that a statement finds or returns, if there is one."""
        row = await self._executor.row(statement)
        return None if row is None else _run(row)

    async def _all(self, statement: sa.Select[Any] | Asked) -> Sequence[Run]:
        return [_run(row) for row in await self._executor.rows(statement)]


def _run(row: sa.Row[Any]) -> Run:
    return Run(**{name: getattr(row, name) for name in PLAIN}, cost=cost_of(row))
