"""One run in this process, from its first event here to its end, whatever happens in between."""

import asyncio
from collections.abc import Sequence
from typing import Any

import structlog

from retinue.alarms import Until
from retinue.db.changes import Change
from retinue.db.scripts import Script
from retinue.db.session import Unit
from retinue.domain.errors import InternalError, ProcessLost, RetinueError, RunTimeout, StepLimitReached
from retinue.domain.ids import now
from retinue.observability.metrics import METRICS
from retinue.runs.calls.closing import close_in_draft
from retinue.runs.concluding import Result
from retinue.runs.departing import hand_over, let_go
from retinue.runs.endings import (
    Cancelled,
    Completed,
    Curtailed,
    Departure,
    Ending,
    EndState,
    Failed,
    HandedOver,
    Lost,
    end_state,
)
from retinue.runs.outcome import Answered, CancelAsked, CutOff, LoopEnd, Pause, StepsUsedUp
from retinue.runs.parts import Parts
from retinue.runs.waiting.pausing import PauseResult

_log = structlog.get_logger(__name__)


class Runner:
    """Runs once. Ends in exactly one terminal event, which follows its commit; or parts with the run, which then goes
    on in another process; or, if nothing can be stored, breaks its followers off.
    """

    __slots__ = (
        "_acting",
        "_boundary",
        "_conclusion",
        "_context",
        "_database",
        "_draft",
        "_is_ending",
        "_ledger",
        "_loop",
        "_opening",
        "_pausing",
        "_provider",
        "_recorder",
        "_stop",
        "_task",
        "_writer",
        "run",
    )

    def __init__(self, parts: Parts) -> None:
        self.run = parts.run
        self._context = parts.context
        self._provider = parts.provider
        self._recorder = parts.recorder
        self._writer = parts.writer
        self._database = parts.database
        self._draft = parts.draft
        self._opening = parts.opening
        self._ledger = parts.ledger
        self._boundary = parts.boundary
        self._acting = parts.acting
        self._loop = parts.loop
        self._pausing = parts.pausing
        self._conclusion = parts.conclusion
        self._recorder.on_lost = self.lose
        self._task: asyncio.Task[None] | None = None
        self._stop: Ending | Departure | None = None
        self._is_ending = False

    async def open_first_call(self, unit: Unit) -> None:
        """Book the first model call in the transaction that starts the run.

        Raises:
            BudgetExceeded, Conflict: see `CallLedger.open_first_call`.
        """
        await self._ledger.open_first_call(unit)

    def booking_first_call(self, unit: Unit, *, is_tenant_locked: bool) -> Script[Sequence[Change[object]]]:
        """The same for a run that is not stored yet; see `CallLedger.booking_first_call`."""
        return self._ledger.booking_first_call(unit, is_tenant_locked=is_tenant_locked)

    def begin(self) -> None:
        """Go live and record the first events, so that a follower has an id at once.

        Raises:
            ProcessLost: storing the start took longer than the lease; the run is found by whoever looks for lost ones.
        """
        self._recorder.open()
        try:
            for event in self._opening:
                self._recorder.record(event)
        except RetinueError:
            self._recorder.leave()
            raise

    def renew(self, asked_at: float) -> None:
        """The lease was renewed; the database was asked at this time of `lease.clock`."""
        self._recorder.hold.renew(asked_at)

    def cancel(self) -> None:
        """End the run now; the provider's socket is closed. Works before the start, and does nothing near the end."""
        self._interrupt(Cancelled(now()))

    def lose(self) -> None:
        """The run was deleted, or another process has taken it over: stop asking the model for nobody."""
        self._interrupt(Lost())

    def hand_over(self) -> None:
        """Store what there is and let go of the run, so that it goes on in another process."""
        self._interrupt(HandedOver())

    def _interrupt(self, stop: Ending | Departure) -> None:
        if self._stop is not None:
            return
        self._stop = stop
        # A run that is about to end may still go on; then it finds the word that came meanwhile.
        if self._task is not None and not self._is_ending:
            self._task.cancel()

    async def execute(self) -> None:
        """Run until the run is over or somebody else's. Raises nothing."""
        self._task = asyncio.current_task()
        deadline = asyncio.get_running_loop().time() + self._context.limits.duration
        while True:
            way_out = self._stop or await self._run_loop(deadline)
            # Whatever tidying up has led to: what the run was stopped for counts.
            way_out = self._stop or way_out
            self._is_ending = True
            if await self._leave(way_out):
                return
            self._is_ending = False

    async def _leave(self, way_out: Ending | Departure) -> bool:
        """False if the run goes on here after all."""
        match way_out:
            case Pause():
                instead = await self._pause(way_out)
                return instead is None or (instead is not way_out and await self._leave(instead))
            case Lost() | HandedOver():
                await self._depart(way_out)
                return True
            case _:
                return await self._end(way_out)

    async def _run_loop(self, deadline: float) -> Ending | Departure:
        try:
            with Until(deadline):
                return _way_out(await self._loop.run(deadline))
        except asyncio.CancelledError:
            assert self._task is not None
            self._task.uncancel()
            return self._stop or Cancelled(now())
        except TimeoutError:
            return Failed(RunTimeout())
        except Exception as error:
            return self._trouble(error)

    def _trouble(self, error: Exception) -> Ending | Departure:
        match error:
            case CancelAsked(requested_at=requested_at):
                return Cancelled(requested_at)
            case ProcessLost():
                return Lost()
            case RetinueError():
                return Failed(error)
        _log.error("run_crashed", run_id=str(self.run.id), exc_info=error)
        return Failed(InternalError())

    async def _pause(self, pause: Pause) -> Ending | Departure | None:
        """None if the run waits now. The pause itself if what it was about to wait for has come meanwhile."""
        self._writer.forget(self._recorder)
        try:
            result = await self._pausing.pause(pause, self._metadata())
        except Exception as error:
            return self._trouble(error)
        if result is PauseResult.GOES_ON:
            return pause
        _log.info("run_paused", run_id=str(self.run.id), waiting_for=pause.waiting_for.value)
        return None

    async def _depart(self, departure: Departure) -> None:
        self._ledger.abort_open()
        self._writer.forget(self._recorder)
        try:
            match departure:
                case HandedOver():
                    await hand_over(self._database, self.run, self._recorder, self._ledger)
                case Lost():
                    METRICS.run_lost()
                    await let_go(self._database, self.run, self._ledger)
        except RetinueError as error:
            # Its lease expires; whoever takes the run over closes what was left open.
            _log.warning("run_left_untidy", run_id=str(self.run.id), code=error.problem_code)
        except Exception:
            _log.exception("run_left_untidy", run_id=str(self.run.id))
        self._recorder.leave()
        _log.info("run_left", run_id=str(self.run.id), how=type(departure).__name__)

    async def _end(self, ending: Ending) -> bool:
        """False if the run goes on, because another message was appended to it."""
        self._ledger.abort_open()
        state = end_state(ending)
        self._tell_of_open_calls(state)
        self._writer.forget(self._recorder)
        try:
            result = await self._conclusion.conclude(ending, self._metadata(), self._boundary.taken)
        except Exception:
            _log.exception("run_end_not_stored", run_id=str(self.run.id))
            self._recorder.abandon()
            return True
        if result is Result.GOES_ON:
            return False
        if result is Result.NOT_OURS:
            self._recorder.leave()
        _log.info(
            "run_ended",
            run_id=str(self.run.id),
            status=state.run_status.value,
            code=state.error_code,
            is_stored=result is Result.STORED,
        )
        return True

    def _tell_of_open_calls(self, state: EndState) -> None:
        for event in close_in_draft(self._draft, self._acting.take_undecided(), state):
            try:
                self._recorder.record(event)
            except RetinueError:
                return  # the end says it, too

    def _metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = {"provider": self._context.provider.provider, "model": self._context.model}
        if self._provider.capabilities.is_scripted:
            metadata["scripted"] = True
        return metadata


def _way_out(end: LoopEnd) -> Ending | Departure:
    match end:
        case Answered(reason=reason):
            return Completed(reason)
        case StepsUsedUp():
            return Failed(StepLimitReached())
        case CutOff(reason=reason):
            return Curtailed(reason)
        case Pause():
            return end
