"""One run in this process, from its first event here to its end, whatever happens in between."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import structlog

from retinue.db.session import Database
from retinue.domain import events as e
from retinue.domain.errors import InternalError, ProcessLost, RetinueError, RunTimeout
from retinue.domain.ids import now
from retinue.domain.model_io import Turn
from retinue.domain.policy import RetryPolicy
from retinue.domain.runs import LedgerEntry, Run
from retinue.providers.base import Provider
from retinue.runs.boundary import Boundary
from retinue.runs.concluding import Conclusion, Result
from retinue.runs.context import RunContext
from retinue.runs.departing import hand_over, let_go
from retinue.runs.draft import Draft
from retinue.runs.ending import Cancelled, Completed, Departure, Ending, Failed, HandedOver, Lost, end_state
from retinue.runs.event_writer import EventWriter
from retinue.runs.ledger import CallLedger
from retinue.runs.loop import Loop
from retinue.runs.recorder import Recorder

_log = structlog.get_logger(__name__)


class Beginning(msgspec.Struct, frozen=True, kw_only=True):
    """From where a runner takes a run on."""

    draft: Draft
    opening: Sequence[e.RunEvent] = ()
    """The first events that it records."""
    completed_steps: int = 0
    turns: tuple[Turn, ...] = ()
    """What the completed steps added to the conversation with the model."""
    taken: int = 0
    """Appended messages that are among the turns or the history."""
    counted_from: int = 0
    """The completed step behind which the bound on steps begins."""


class Runner:
    """Runs once. Ends in exactly one terminal event, which follows its commit; or parts with the run, which then goes
    on in another process; or, if nothing can be stored, breaks its followers off.
    """

    def __init__(
        self,
        *,
        run: Run,
        context: RunContext,
        provider: Provider,
        recorder: Recorder,
        writer: EventWriter,
        database: Database,
        retries: RetryPolicy,
        beginning: Beginning,
    ) -> None:
        self.run = run
        self._context = context
        self._provider = provider
        self._recorder = recorder
        self._writer = writer
        self._database = database
        self._draft = beginning.draft
        self._opening = beginning.opening
        self._boundary = Boundary(database, run, recorder, taken=beginning.taken)
        self._ledger = CallLedger(
            database=database,
            run=run,
            provider=context.provider,
            model=context.model,
            recorder=recorder,
            draft=self._draft,
            first_step=beginning.completed_steps + 1,
        )
        self._loop = Loop(
            context=context,
            provider=provider,
            recorder=recorder,
            draft=self._draft,
            ledger=self._ledger,
            retries=retries,
            boundary=self._boundary,
            completed_steps=beginning.completed_steps,
            turns=beginning.turns,
            counted_from=beginning.counted_from,
        )
        self._conclusion = Conclusion(database, run, recorder, self._ledger, self._draft)
        recorder.on_lost = self.lose
        self._task: asyncio.Task[None] | None = None
        self._stop: Ending | Departure | None = None
        self._is_ending = False

    def first_entry(self) -> LedgerEntry:
        """The ledger row of the first model call, for the transaction that starts the run."""
        return self._ledger.first_entry()

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
            if isinstance(way_out, Lost | HandedOver):
                await self._depart(way_out)
                return
            if await self._end(way_out):
                return
            self._is_ending = False

    async def _run_loop(self, deadline: float) -> Ending | Departure:
        try:
            async with asyncio.timeout_at(deadline):
                return Completed(await self._loop.run(deadline))
        except asyncio.CancelledError:
            assert self._task is not None
            self._task.uncancel()
            return self._stop or Cancelled(now())
        except TimeoutError:
            return Failed(RunTimeout())
        except ProcessLost:
            return Lost()
        except RetinueError as error:
            return Failed(error)
        except Exception:
            _log.exception("run_crashed", run_id=str(self.run.id))
            return Failed(InternalError())

    async def _depart(self, departure: Departure) -> None:
        self._ledger.abort_open()
        self._writer.forget(self._recorder)
        try:
            match departure:
                case HandedOver():
                    await hand_over(self._database, self.run, self._recorder, self._ledger)
                case Lost():
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
        self._writer.forget(self._recorder)
        self._ledger.abort_open()
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
        state = end_state(ending)
        _log.info(
            "run_ended",
            run_id=str(self.run.id),
            status=state.run_status.value,
            code=state.error_code,
            is_stored=result is Result.STORED,
        )
        return True

    def _metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = {"provider": self._context.provider.provider, "model": self._context.model}
        if self._provider.capabilities.is_scripted:
            metadata["scripted"] = True
        return metadata
