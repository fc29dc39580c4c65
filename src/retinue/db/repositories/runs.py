"""Runs: one of a conversation has started at a time; each starts once and ends once."""

from datetime import datetime
from typing import Any, NotRequired, TypedDict, Unpack
from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.changes import Change
from retinue.db.dialects.base import Insert
from retinue.db.prepared import prepared
from retinue.db.repositories.base import has_changed
from retinue.db.repositories.conditions import OTHER_RUN, has_started
from retinue.db.repositories.money import cost_columns
from retinue.db.repositories.pauses import RunPauses
from retinue.db.repositories.run_reads import PLAIN
from retinue.domain.errors import Conflict, StorageFailed
from retinue.domain.runs import ACTIVE_STATUSES, STARTED_STATUSES, CancelReceipt, Run, RunStatus
from retinue.domain.usage import Cost, GenerationStats, Usage

_ADD_TRIES = 3


class _Computed(TypedDict):
    lease_seconds: float | None
    is_next: bool


class RunEnd(TypedDict):
    status: RunStatus
    finish_reason: str | None
    error_code: str | None
    usage: Usage | None
    cost: Cost | None
    generation_stats: GenerationStats | None
    event_count: int | None
    text_sha256: str | None
    at: datetime
    receipt: NotRequired[CancelReceipt | None]
    appended: NotRequired[int | None]
    """The messages that the run knows of; nothing is written if it was given more."""
    from_statuses: NotRequired[tuple[RunStatus, ...]]
    """Nothing is written if the run is in none of them."""


class RunRepository(RunPauses):
    """Every change is a compare-and-set: it says whether it took place."""

    async def add(self, run: Run, *, owner: str | None, lease_seconds: float) -> None:
        """Store a new run, under a lease unless it has no owner yet. The transaction stays usable after a conflict.

        A run that has started and names no ordinal gets the conversation's next one, provided that the caller holds
        the conversation's lock.

        Raises:
            Conflict: code `conversation_busy`; the detail names the run that has started in the conversation.
            NotFound: the conversation or the employee is not there, or is another tenant's.
        """
        columns = _columns(run, owner)
        statement = self._added(run.conversation_id, **_computed(run, owner, lease_seconds))
        for _ in range(_ADD_TRIES):  # the run in the way may end before it can be named
            if await self._store(statement, columns, missing="There is no such conversation."):
                return
            if (other := await self.active(run.conversation_id)) is not None:
                raise Conflict(f"Run {other.id} is active in this conversation.", code="conversation_busy")
        raise StorageFailed

    def adding(self, run: Run, *, owner: str | None, lease_seconds: float) -> Change[None]:
        """The same, for `Unit.together`. A conflict names no run."""
        statement = self._added(run.conversation_id, **_computed(run, owner, lease_seconds), is_expected=False)
        return self._storing(statement, _columns(run, owner))

    @prepared
    def _added(
        self, conversation_id: UUID, *, lease_seconds: float | None, is_next: bool, is_expected: bool = True
    ) -> Insert:
        """
        Args:
            is_expected: a conflict changes nothing and is no error.
        """
        computed: dict[str, Any] = {}
        if lease_seconds is not None:
            computed["lease_expires_at"] = self._dialect.clock_after(lease_seconds)
        if is_next:
            computed["ordinal"] = self._next_ordinal(conversation_id).scalar_subquery()
        insert = self._insert(t.Run)
        insert = insert.values(computed) if computed else insert
        return insert.on_conflict_do_nothing() if is_expected else insert

    async def start(self, run_id: UUID, *, owner: str, lease_seconds: float, ordinal: int) -> Run | None:
        """Let a queued run begin, under a lease.

        None if it is not queued any more, or while another run of its conversation has started.

        Raises:
            Conflict: code `conversation_busy`, if another run starts at the same instant because the caller does not
                hold the conversation's lock. The transaction is lost.
        """
        is_busy = self._select(OTHER_RUN, OTHER_RUN.id).where(
            OTHER_RUN.conversation_id == t.Run.conversation_id, has_started(OTHER_RUN)
        )
        statement = (
            self._update(t.Run)
            .where(t.Run.id == run_id, t.Run.status == RunStatus.QUEUED, ~is_busy.exists())
            .values(
                status=RunStatus.RUNNING,
                ordinal=ordinal,
                owner=owner,
                started_at=self._dialect.clock(),
                lease_expires_at=self._dialect.clock_after(lease_seconds),
            )
        )
        return await self._one(statement.returning(t.Run))

    async def claim(self, run_id: UUID, attempt: int, *, owner: str, lease_seconds: float) -> Run | None:
        """Take over a running run whose lease has run out on the database's clock, under the next attempt.

        None if it has ended, waits, was taken over already, its owner lives, or somebody is just writing: then it is
        passed over rather than waited for, because whoever writes may be frozen. When this returns a run, all that will
        ever be stored under the old attempt can be read.
        """
        is_lost = (
            (t.Run.id == run_id)
            & (t.Run.attempt == attempt)
            & (t.Run.status == RunStatus.RUNNING)
            & (t.Run.lease_expires_at <= self._dialect.clock())
        )
        # FOR UPDATE, which an update alone does not ask for, meets the FOR KEY SHARE of a fenced insert.
        lock = self._select(t.Run, t.Run.id).where(is_lost).with_for_update(skip_locked=True)
        if await self._executor.row(lock) is None:
            return None
        statement = self._update(t.Run).where(is_lost)
        return await self._one(
            statement.values(
                attempt=attempt + 1, owner=owner, lease_expires_at=self._dialect.clock_after(lease_seconds)
            ).returning(t.Run)
        )

    async def release(self, run_id: UUID, attempt: int) -> bool:
        """Let go of a running run, so that any process may claim it at once; false if it is not ours any more."""
        statement = self._held(run_id, attempt, (RunStatus.RUNNING,))
        return await self._executor.change(statement.values(owner=None, lease_expires_at=self._dialect.clock())) == 1

    async def request_cancel(self, run_id: UUID) -> Run | None:
        """Write down that somebody asked to cancel the run, once: the first request's time stays.

        Returns the run as it is then; None if it has ended, or waits for a person: nobody would look at the wish.
        """
        is_there = (t.Run.id == run_id) & t.Run.status.in_((RunStatus.QUEUED, RunStatus.RUNNING))
        moment = sa.func.coalesce(t.Run.cancel_requested_at, self._dialect.clock())
        statement = self._update(t.Run).where(is_there).values(cancel_requested_at=moment)
        return await self._one(statement.returning(t.Run))

    async def append(self, run_id: UUID) -> bool:
        """Count one more message that the run has to take, once it goes on if it waits; false if it has not started,
        has ended or is to be cancelled.
        """
        statement = self._update(t.Run).where(
            t.Run.id == run_id, t.Run.status.in_(STARTED_STATUSES), t.Run.cancel_requested_at.is_(None)
        )
        return await self._executor.change(statement.values(appended=t.Run.appended + 1)) == 1

    async def finish(self, run_id: UUID, attempt: int, **end: Unpack[RunEnd]) -> bool:
        """End the run, once; false and nothing written if it has ended or belongs to another attempt."""
        return await self._executor.carry_out(self.finishing(run_id, attempt, **end))

    def finishing(self, run_id: UUID, attempt: int, **end: Unpack[RunEnd]) -> Change[bool]:
        """The same, for `Unit.together`."""
        values = {
            "status": end["status"],
            "waiting_for": None,
            "finish_reason": end["finish_reason"],
            "error_code": end["error_code"],
            "usage": end["usage"],
            "generation_stats": end["generation_stats"],
            "event_count": end["event_count"],
            "text_sha256": end["text_sha256"],
            "receipt": end.get("receipt"),
            "finished_at": end["at"],
            "owner": None,
            "lease_expires_at": None,
            **cost_columns(end["cost"]),
        }
        appended, statuses = end.get("appended"), end.get("from_statuses", ACTIVE_STATUSES)
        statement = self._owned(run_id, attempt, appended, statuses=statuses, counts=appended is not None)
        return Change(statement.setting(values), has_changed)

    async def mark_pruned(self, run_id: UUID) -> bool:
        """Write down that the run's log was pruned; false if it was before, or the run has not ended."""
        statement = self._update(t.Run).where(
            t.Run.id == run_id, t.Run.finished_at.is_not(None), t.Run.pruned_at.is_(None)
        )
        return await self._executor.change(statement.values(pruned_at=self._dialect.clock())) == 1


def _computed(run: Run, owner: str | None, lease_seconds: float) -> _Computed:
    is_next = run.ordinal is None and run.status in STARTED_STATUSES
    return {"lease_seconds": lease_seconds if owner else None, "is_next": is_next}


def _columns(run: Run, owner: str | None) -> dict[str, Any]:
    columns = {**{name: getattr(run, name) for name in PLAIN}, **cost_columns(run.cost), "owner": owner}
    if run.ordinal is None and run.status in STARTED_STATUSES:
        del columns["ordinal"]  # it gets the next one
    return columns
