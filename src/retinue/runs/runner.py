"""One run from its first event to its end, whatever happens in between."""

import asyncio
from typing import Any

import structlog
import tenacity

from retinue.db.session import Database, Unit
from retinue.domain import events as e
from retinue.domain.errors import InternalError, ProcessLost, RetinueError, RunTimeout, StorageFailed, Unavailable
from retinue.domain.policy import RetryPolicy
from retinue.domain.runs import LedgerEntry, Run
from retinue.providers.base import Provider
from retinue.runs.context import RunContext
from retinue.runs.draft import Draft
from retinue.runs.ending import Cancelled, Completed, Ending, Failed, end_state, store_end, terminal_event
from retinue.runs.event_writer import EventWriter
from retinue.runs.ledger import CallLedger
from retinue.runs.loop import Loop
from retinue.runs.recorder import Recorder

_log = structlog.get_logger(__name__)

STORE_END_SECONDS = 20.0
"""How long an end that the database does not take is tried again."""


class Runner:
    """Runs once. Ends in exactly one terminal event, which follows its commit, or breaks the followers off."""

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
    ) -> None:
        self.run = run
        self._context = context
        self._provider = provider
        self._recorder = recorder
        self._writer = writer
        self._database = database
        self._draft = Draft(max_chars=context.limits.max_answer_chars)
        self._ledger = CallLedger(
            database=database,
            run=run,
            provider=context.provider,
            model=context.model,
            recorder=recorder,
            draft=self._draft,
        )
        self._loop = Loop(
            context=context,
            provider=provider,
            recorder=recorder,
            draft=self._draft,
            ledger=self._ledger,
            retries=retries,
        )
        recorder.on_lost = self.lose
        self._task: asyncio.Task[None] | None = None
        self._stop: Ending | None = None
        self._is_ending = False

    def first_entry(self) -> LedgerEntry:
        """The ledger row of the first model call, for the transaction that starts the run."""
        return self._ledger.first_entry()

    def begin(self) -> None:
        """Record the first event, so that a follower has an id at once."""
        self._recorder.record(
            e.RunStarted(
                conversation_id=self.run.conversation_id,
                employee_id=self.run.employee_id,
                user_message_id=self.run.user_message_id,
                message_id=self.run.message_id,
                attempt=self.run.attempt,
            )
        )

    def stop(self, ending: Ending) -> None:
        """End the run now; the provider's socket is closed. Works before the start, and does nothing near the end."""
        if self._is_ending or self._stop is not None:
            return
        self._stop = ending
        if self._task is not None:
            self._task.cancel()

    def lose(self) -> None:
        """The run was deleted, or another process has taken it over: stop asking the model for nobody."""
        self.stop(Failed(ProcessLost()))

    async def execute(self) -> None:
        """Run to the end and store it. Raises nothing."""
        self._task = asyncio.current_task()
        ending = self._stop or await self._run_loop()
        self._is_ending = True
        self._ledger.abort_open()
        await self._end(ending)

    async def _run_loop(self) -> Ending:
        try:
            async with asyncio.timeout(self._context.limits.duration):
                return Completed(await self._loop.run())
        except asyncio.CancelledError:
            assert self._task is not None
            self._task.uncancel()
            return self._stop or Cancelled()
        except TimeoutError:
            return Failed(RunTimeout())
        except RetinueError as error:
            return Failed(error)
        except Exception:
            _log.exception("run_crashed", run_id=str(self.run.id))
            return Failed(InternalError())

    async def _end(self, ending: Ending) -> None:
        self._writer.forget(self._recorder)
        try:
            is_stored = await self._conclude(ending)
        except Exception:
            _log.exception("run_end_not_stored", run_id=str(self.run.id))
            is_stored = False
        if not is_stored:
            self._recorder.abandon()
        _log.info(
            "run_ended",
            run_id=str(self.run.id),
            status=end_state(ending).run_status.value,
            code=end_state(ending).error_code,
            is_stored=is_stored,
        )

    async def _conclude(self, ending: Ending) -> bool:
        event = terminal_event(
            ending,
            self.run,
            self._draft,
            stats=self._draft.stats(),
            event_count=self._recorder.event_count + 1,
            metadata=self._metadata(),
        )
        terminal = self._recorder.seal(event)
        is_stored = await self._store(ending, event, terminal)
        if is_stored:
            self._recorder.announce(terminal)
        return is_stored

    async def _store(self, ending: Ending, event: e.TerminalEvent, terminal: e.RecordedEvent) -> bool:
        async for attempt in tenacity.AsyncRetrying(
            stop=tenacity.stop_after_delay(STORE_END_SECONDS),
            wait=tenacity.wait_exponential_jitter(initial=0.1, max=2.0),
            retry=tenacity.retry_if_exception_type((Unavailable, StorageFailed)),
            reraise=True,
        ):
            with attempt:
                return await self._store_once(ending, event, terminal)
        return False

    async def _store_once(self, ending: Ending, event: e.TerminalEvent, terminal: e.RecordedEvent) -> bool:
        async with self._recorder.writing:
            events = self._recorder.take_unstored()
            try:
                async with self._database.unit(self.run.tenant_id) as unit:
                    is_ours = await store_end(unit, self.run, end_state(ending), self._draft, event)
                    # The money is spent, whoever the run belongs to by now.
                    await self._ledger.write_closings(unit)
                    if not is_ours:
                        return await self._is_already_stored(unit, event)
                    await unit.run_events.add(self.run.id, self.run.attempt, [*events, terminal])
            except BaseException:
                self._recorder.put_back(events)
                raise
        return True

    async def _is_already_stored(self, unit: Unit, event: e.TerminalEvent) -> bool:
        """Whether an earlier try was committed although its answer got lost."""
        stored = await unit.runs.find(self.run.id)
        return (
            stored is not None
            and stored.attempt == self.run.attempt
            and stored.finish_reason == event.finish_reason
            and stored.text_sha256 == event.text_sha256
            and stored.event_count == event.event_count
        )

    def _metadata(self) -> dict[str, Any]:
        metadata: dict[str, Any] = {"provider": self._context.provider.provider, "model": self._context.model}
        if self._provider.capabilities.is_scripted:
            metadata["scripted"] = True
        return metadata
