"""Takes runs over whose process is gone: they go on from their last completed step, or they end."""

import sys
from collections.abc import Sequence
from uuid import UUID

import structlog

from retinue.db.session import Database, Unit
from retinue.domain.errors import (
    Conflict,
    InternalError,
    InvalidRequest,
    NotFound,
    ProcessLost,
    RetinueError,
    SecretUnreadable,
    Unavailable,
)
from retinue.domain.events import AttemptStarted, RecordedEvent, RunEvent
from retinue.domain.ids import Position, event_id, now
from retinue.domain.runs import Run
from retinue.runs.boundary import count_taken, last_taking, turns_of
from retinue.runs.draft import Draft
from retinue.runs.ending import Cancelled, Ending, Failed
from retinue.runs.factory import RunnerFactory, run_started
from retinue.runs.lease import clock
from retinue.runs.lost_calls import settle_calls
from retinue.runs.replay import Replay, fill, read_log
from retinue.runs.runner import Beginning, Runner
from retinue.runs.unrun import end_unrun

_log = structlog.get_logger(__name__)

CANNOT_START = (Conflict, InvalidRequest, NotFound, SecretUnreadable)
"""What no second try would mend: the run fails with it."""


class Recovery:
    """Claims a run under the next attempt, which takes the right to write from whoever had it before."""

    def __init__(self, database: Database, factory: RunnerFactory) -> None:
        self._database = database
        self._factory = factory

    async def take_over(self, tenant_id: UUID, run_id: UUID) -> Runner | None:
        """A runner that goes on with the run; None if there is nothing to run, because it ended here or is not lost.

        Raises:
            Unavailable: the database is away; nothing has changed.
        """
        try:
            async with self._database.unit(tenant_id) as unit:
                asked_at = clock()
                run = await self._claim(unit, run_id)
                return None if run is None else await self._resume(unit, run, asked_at)
        except Unavailable:
            raise
        except Exception as error:
            # It must not be tried for ever: a run whose recovery fails ends.
            _log.exception("recovery_failed", run_id=str(run_id))
            await self._give_up(tenant_id, run_id, error)
            return None

    async def _claim(self, unit: Unit, run_id: UUID) -> Run | None:
        seen = await unit.runs.find(run_id)
        if seen is None:
            return None
        lease = self._factory.lease
        return await unit.runs.claim(run_id, seen.attempt, owner=lease.owner, lease_seconds=lease.seconds)

    async def _resume(self, unit: Unit, run: Run, asked_at: float) -> Runner | None:
        replay = await read_log(unit, run)
        if run.cancel_requested_at is not None:
            await self._end(unit, run, replay, Cancelled(run.cancel_requested_at))
            return None
        if run.attempt > self._factory.limits.max_attempts or not replay.is_whole:
            await self._end(unit, run, replay, Failed(ProcessLost()))
            return None
        try:
            return await self._runner(unit, run, replay, asked_at)
        except CANNOT_START as error:
            await self._end(unit, run, replay, Failed(error))
            return None

    async def _runner(self, unit: Unit, run: Run, replay: Replay, asked_at: float) -> Runner:
        context = await self._factory.stored_context(unit, run)
        checkpoints = await unit.checkpoints.list(run.id)
        turns = turns_of(checkpoints)
        boundary = checkpoints[-1].position if checkpoints else None
        kept = replay.upto(boundary)
        draft = fill(self._factory.draft(), kept)
        draft.go_on()
        runner = self._factory.make(
            run,
            context,
            Beginning(
                draft=draft,
                opening=_opening(run, kept, boundary),
                completed_steps=checkpoints[-1].step if checkpoints else 0,
                turns=turns,
                taken=count_taken(checkpoints),
                counted_from=last_taking(checkpoints),
            ),
            asked_at,
            earlier=replay.count,
        )
        await settle_calls(unit, run, draft, replay.events, context=context, turns=turns, at=now())
        await unit.ledger.open(runner.first_entry())
        return runner

    async def _give_up(self, tenant_id: UUID, run_id: UUID, error: Exception) -> None:
        ending = Failed(error if isinstance(error, RetinueError) else InternalError())
        async with self._database.unit(tenant_id) as unit:
            if run := await self._claim(unit, run_id):
                await self._end(unit, run, await read_log(unit, run), ending)

    async def _end(self, unit: Unit, run: Run, replay: Replay, ending: Ending) -> None:
        """End the run with everything that had reached the log."""
        # Without a bound: what was written under another limit is kept all the same.
        draft = fill(Draft(max_chars=sys.maxsize), replay.events)
        await settle_calls(unit, run, draft, replay.events, at=now())
        opening = _opening(run, replay.events)
        await end_unrun(unit, run, ending, draft, before=opening, earlier=replay.count)


def _opening(run: Run, kept: Sequence[RecordedEvent], boundary: Position | None = None) -> tuple[RunEvent, ...]:
    """The boundary between the attempts. A log of which nothing counts begins anew."""
    if not kept:
        return (run_started(run), AttemptStarted(attempt=run.attempt, discard_after=None))
    last = event_id(run.id, boundary or kept[-1].position)
    return (AttemptStarted(attempt=run.attempt, discard_after=last),)
