"""Takes runs over whose process is gone: they go on from their last completed step, or they end."""

import sys
from collections.abc import Sequence
from uuid import UUID

import structlog

from retinue.db.session import Database, Unit
from retinue.domain.errors import (
    BudgetExceeded,
    Conflict,
    InternalError,
    InvalidRequest,
    NotFound,
    ProcessLost,
    RequestError,
    RetinueError,
    SecretUnreadable,
    Unavailable,
)
from retinue.domain.events import ApprovalDecided, AttemptStarted, RecordedEvent, RunEvent
from retinue.domain.ids import Position, event_id, now
from retinue.domain.limits import Limits
from retinue.domain.messages import MessageStatus
from retinue.domain.model_io import AssistantTurn
from retinue.domain.runs import Checkpoint, Run
from retinue.runs.boundary import count_taken, is_planned, last_taking, turns_of
from retinue.runs.calls.journal import Plan
from retinue.runs.calls.results import decision_event
from retinue.runs.draft import Draft
from retinue.runs.endings import Cancelled, Curtailed, Ending, Failed
from retinue.runs.factory import RunnerFactory, run_started
from retinue.runs.lease import clock
from retinue.runs.limiting.book import LimitsBook
from retinue.runs.limiting.slots import full_for_resumed, too_many_runs
from retinue.runs.lost_calls import settle_calls
from retinue.runs.parts import Beginning
from retinue.runs.replay import Replay, fill, read_log
from retinue.runs.runner import Runner
from retinue.runs.unrun import close_left_calls, end_unrun
from retinue.runs.waiting.tickets import AnsweredBefore
from retinue.runs.waiting.waking import Wake, WakeRefused

_log = structlog.get_logger(__name__)

CANNOT_START = (BudgetExceeded, Conflict, InvalidRequest, NotFound, SecretUnreadable)
"""What no second try would mend: the run fails with it."""


class Recovery:
    """Claims a run under the next attempt, which takes the right to write from whoever had it before."""

    def __init__(self, database: Database, factory: RunnerFactory, limits: LimitsBook) -> None:
        self._database = database
        self._factory = factory
        self._limits = limits

    async def take_over(self, tenant_id: UUID, run_id: UUID, wake: Wake | None = None) -> Runner | None:
        """A runner that goes on with the run; None if there is nothing to run, because it ended here or is not lost, or
        because as many runs as may are being written: then it stays where it is, and is found again.

        Args:
            wake: for a run that waits instead of being lost.

        Raises:
            Unavailable: the database is away; nothing has changed.
            Conflict: of `wake`.
            RateLimited: `too_many_runs`, of a run that waits.
        """
        limits = await self._limits.of(tenant_id)
        try:
            async with self._database.unit(tenant_id) as unit:
                asked_at = clock()
                run = await (self._wake(unit, run_id, wake, limits) if wake else self._claim(unit, run_id, limits))
                return None if run is None else await self._resume(unit, run, asked_at, wake)
        except WakeRefused as refused:
            raise refused.reason from None
        except Unavailable:
            raise
        except Exception as error:
            # It must not be tried for ever: a run whose recovery fails ends.
            _log.exception("recovery_failed", run_id=str(run_id))
            await self._give_up(tenant_id, run_id, error)
            return None

    async def _claim(self, unit: Unit, run_id: UUID, limits: Limits | None) -> Run | None:
        seen = await unit.runs.find(run_id)
        if seen is None:
            return None
        # The approvals before the run, as everywhere: if it ends here, they end with it.
        if seen.pauses and not await unit.approvals.try_lock(run_id):
            return None
        if limits is not None and await full_for_resumed(unit, limits, seen) is not None:
            return None
        lease = self._factory.lease
        return await unit.runs.claim(run_id, seen.attempt, owner=lease.owner, lease_seconds=lease.seconds)

    async def _wake(self, unit: Unit, run_id: UUID, wake: Wake, limits: Limits) -> Run | None:
        await unit.approvals.lock(run_id)
        try:
            seen = await wake.prepare(unit)
            if (party := await full_for_resumed(unit, limits, seen)) is not None:
                raise too_many_runs(limits, party)
        except (RequestError, AnsweredBefore) as error:
            raise WakeRefused(error) from None
        lease = self._factory.lease
        return await unit.runs.resume(run_id, seen.attempt, owner=lease.owner, lease_seconds=lease.seconds)

    async def _resume(self, unit: Unit, run: Run, asked_at: float, wake: Wake | None) -> Runner | None:
        replay = await read_log(unit, run)
        if run.cancel_requested_at is not None:
            await self._end(unit, run, replay, Cancelled(run.cancel_requested_at))
            return None
        if run.attempt - run.pauses > self._factory.limits.max_attempts or not replay.is_whole:
            await self._end(unit, run, replay, Failed(ProcessLost()))
            return None
        try:
            return await self._runner(unit, run, replay, asked_at, wake)
        except BudgetExceeded:
            # What was said stays: nothing will take its place.
            await self._end(unit, run, replay, Curtailed("budget"))
            return None
        except CANNOT_START as error:
            await self._end(unit, run, replay, Failed(error))
            return None

    async def _runner(self, unit: Unit, run: Run, replay: Replay, asked_at: float, wake: Wake | None) -> Runner:
        context = await self._factory.stored_context(unit, run)
        checkpoints = await unit.checkpoints.list(run.id)
        boundary = checkpoints[-1].position if checkpoints else None
        kept = replay.upto(boundary)
        draft = fill(self._factory.draft(), kept)
        draft.go_on()
        plan = await _plan(unit, run, checkpoints)
        decided = await _decided(unit, run, kept)
        completed = checkpoints[:-1] if plan else checkpoints
        turns = turns_of(completed)
        runner = self._factory.make(
            run,
            context,
            Beginning(
                draft=draft,
                opening=(*_opening(run, kept, boundary), *decided),
                told=_told(kept).union(event.approval_id for event in decided),
                completed_steps=completed[-1].step if completed else 0,
                turns=turns,
                taken=count_taken(completed),
                counted_from=last_taking(completed),
                plan=plan,
                passwords=wake.passwords if wake else {},
            ),
            asked_at,
            earlier=replay.count,
        )
        await unit.messages.change_status(run.message_id, to=MessageStatus.STREAMING, from_=MessageStatus.WAITING)
        await settle_calls(unit, run, draft, replay.events, context=context, turns=turns, at=now())
        if plan is None:
            await runner.open_first_call(unit)
        return runner

    async def _give_up(self, tenant_id: UUID, run_id: UUID, error: Exception) -> None:
        ending = Failed(error if isinstance(error, RetinueError) else InternalError())
        async with self._database.unit(tenant_id) as unit:
            if run := await self._claim(unit, run_id, None):
                await self._end(unit, run, await read_log(unit, run), ending)

    async def _end(self, unit: Unit, run: Run, replay: Replay, ending: Ending) -> None:
        """End the run with everything that had reached the log."""
        # Without a bound: what was written under another limit is kept all the same.
        draft = fill(Draft(max_chars=sys.maxsize), replay.events)
        await settle_calls(unit, run, draft, replay.events, at=now())
        closed = await close_left_calls(unit, run, draft, ending)
        opening = _opening(run, replay.events)
        await end_unrun(unit, run, ending, draft, before=(*opening, *closed), earlier=replay.count)


def _opening(run: Run, kept: Sequence[RecordedEvent], boundary: Position | None = None) -> tuple[RunEvent, ...]:
    """The boundary between the attempts. A log of which nothing counts begins anew."""
    if not kept:
        return (run_started(run), AttemptStarted(attempt=run.attempt, discard_after=None))
    last = event_id(run.id, boundary or kept[-1].position)
    return (AttemptStarted(attempt=run.attempt, discard_after=last),)


async def _plan(unit: Unit, run: Run, checkpoints: Sequence[Checkpoint]) -> Plan | None:
    """The tool calls in the middle of which the run goes on."""
    if not checkpoints or not is_planned(checkpoints[-1]):
        return None
    last = checkpoints[-1]
    turn = last.turns[-1]
    assert isinstance(turn, AssistantTurn)
    entries = [entry for entry in await unit.tool_calls.list(run.id) if entry.step == last.step]
    return Plan(step=last.step, turn=turn, entries=entries)


async def _decided(unit: Unit, run: Run, kept: Sequence[RecordedEvent]) -> list[ApprovalDecided]:
    """What people have decided and the log does not tell yet."""
    if not run.pauses:
        return []
    told = _told(kept)
    events = [decision_event(approval) for approval in await unit.approvals.of_run(run.id)]
    return [event for event in events if event is not None and event.approval_id not in told]


def _told(kept: Sequence[RecordedEvent]) -> frozenset[UUID]:
    """The approvals of which the log says how they were decided."""
    return frozenset(event.event.approval_id for event in kept if isinstance(event.event, ApprovalDecided))
