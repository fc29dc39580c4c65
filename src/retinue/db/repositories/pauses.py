"""Runs that wait for a person, and go on."""

from uuid import UUID

import sqlalchemy as sa

from retinue.db import tables as t
from retinue.db.prepared import prepared
from retinue.db.repositories.run_reads import RunReads
from retinue.domain.runs import ACTIVE_STATUSES, Run, RunStatus, WaitingFor

_RUNNING, _WAITING = (RunStatus.RUNNING,), (RunStatus.WAITING,)


class RunPauses(RunReads):
    """Every change is a compare-and-set: it says whether it took place."""

    async def pause(self, run_id: UUID, attempt: int, *, waiting_for: WaitingFor) -> bool:
        """Let a running run wait, without an owner; false if it belongs to another attempt or is to be cancelled."""
        statement = self._held(run_id, attempt, _RUNNING).where(t.Run.cancel_requested_at.is_(None))
        values = {"status": RunStatus.WAITING, "waiting_for": waiting_for, "owner": None, "lease_expires_at": None}
        return await self._executor.change(statement, values) == 1

    async def wake(self, run_id: UUID, attempt: int) -> bool:
        """Let a waiting run go on in whatever process claims it first; false if it does not wait in this attempt."""
        statement = self._held(run_id, attempt, _WAITING).values(
            status=RunStatus.RUNNING,
            waiting_for=None,
            owner=None,
            lease_expires_at=self._dialect.clock(),
            pauses=t.Run.pauses + 1,
        )
        return await self._executor.change(statement) == 1

    async def resume(self, run_id: UUID, attempt: int, *, owner: str, lease_seconds: float) -> Run | None:
        """Go on with a waiting run in this process, under the next attempt; None if it does not wait in this one.

        When this returns a run, all that will ever be stored under the old attempt can be read.
        """
        is_ours = (t.Run.id == run_id) & (t.Run.attempt == attempt) & (t.Run.status == RunStatus.WAITING)
        # FOR UPDATE, which an update alone does not ask for, meets the FOR KEY SHARE of a fenced insert.
        await self._executor.row(self._select(t.Run, t.Run.id).where(is_ours).with_for_update())
        statement = self._held(run_id, attempt, _WAITING).values(
            status=RunStatus.RUNNING,
            waiting_for=None,
            attempt=attempt + 1,
            owner=owner,
            lease_expires_at=self._dialect.clock_after(lease_seconds),
            pauses=t.Run.pauses + 1,
        )
        return await self._one(statement.returning(t.Run))

    @prepared
    def _owned(
        self, run_id: UUID, attempt: int, appended: int | None, *, statuses: tuple[RunStatus, ...], counts: bool
    ) -> sa.Update:
        """With `counts` it has to be given so many messages, and no more."""
        statement = self._held(run_id, attempt, statuses)
        return statement.where(t.Run.appended == appended) if counts else statement

    def _held(self, run_id: UUID, attempt: int, statuses: tuple[RunStatus, ...] = ACTIVE_STATUSES) -> sa.Update:
        """Every write of a runner: it changes nothing once its attempt is old."""
        return self._update(t.Run).where(t.Run.id == run_id, t.Run.attempt == attempt, t.Run.status.in_(statuses))
