"""Storing and telling a run's end."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any

from retinue.db.scripts import Script
from retinue.db.session import Database, Unit
from retinue.domain import events as e
from retinue.domain.errors import NotFound
from retinue.domain.runs import STARTED_STATUSES, CancelReceipt, Run
from retinue.runs.calls.journal import Journal
from retinue.runs.draft import Draft
from retinue.runs.ending import is_plain, receipt_of, store_end, storing_plain_end, terminal_event
from retinue.runs.endings import Cancelled, Completed, Ending, end_state
from retinue.runs.ledger import CallLedger
from retinue.runs.recorder import Recorder
from retinue.runs.storing import persistently


class Result(Enum):
    STORED = auto()
    NOT_OURS = auto()
    """The run was deleted or taken over, or somebody else has ended it: nothing was written."""
    GOES_ON = auto()
    """Another message was appended to the run: nothing was written, and it has to be answered."""


class _Undone(Exception):
    """What a unit did is to be undone, and its caller goes on."""


class Conclusion:
    """Ends a run in one transaction and tells its followers after the commit."""

    __slots__ = ("_database", "_draft", "_journal", "_ledger", "_recorder", "_run")

    def __init__(
        self,
        *,
        database: Database,
        run: Run,
        recorder: Recorder,
        ledger: CallLedger,
        draft: Draft,
        journal: Journal,
    ) -> None:
        self._database = database
        self._run = run
        self._recorder = recorder
        self._ledger = ledger
        self._draft = draft
        self._journal = journal

    async def conclude(self, ending: Ending, metadata: dict[str, Any], taken: int) -> Result:
        """
        Args:
            taken: appended messages that the answer knows of; a completed run must have taken all there are.

        Raises:
            Unavailable, StorageFailed: the database did not take it for a while. Nobody knows whether it is stored.
        """
        event = terminal_event(
            ending,
            self._run,
            self._draft,
            stats=self._draft.stats(),
            event_count=self._recorder.event_count + 1,
            metadata=metadata,
        )
        terminal = self._recorder.seal(event)
        appended = taken if isinstance(ending, Completed) else None
        result = await persistently(lambda: self._store(ending, terminal, appended))
        match result:
            case Result.STORED:
                self._recorder.announce(terminal)
            case Result.GOES_ON | Result.NOT_OURS:
                self._recorder.unseal()
        return result

    async def _store(self, ending: Ending, terminal: e.RecordedEvent, appended: int | None) -> Result:
        event = terminal.event
        assert isinstance(event, e.TERMINAL_EVENTS)
        async with self._recorder.writing:
            events = self._recorder.take_unstored()
            try:
                result = await self._try(ending, event, [*events, terminal], appended)
            except BaseException:
                self._recorder.put_back(events)
                raise
            if result is Result.GOES_ON:
                self._recorder.put_back(events)
            return result

    async def _try(
        self, ending: Ending, event: e.TerminalEvent, events: Sequence[e.RecordedEvent], appended: int | None
    ) -> Result:
        is_simple = appended is not None and is_plain(self._run, event) and not self._journal.has_kept
        if is_simple and await self._store_at_once(ending, event, events, appended or 0):
            return Result.STORED
        async with self._database.unit(self._run.tenant_id) as unit:
            is_ours = await store_end(
                unit,
                self._run,
                end_state(ending),
                self._draft,
                event,
                receipt=await self._receipt(unit, ending),
                appended=appended,
                journal=self._journal,
            )
            # The money is spent, whoever the run belongs to by now.
            await self._ledger.write_closings(unit)
            if is_ours:
                await unit.run_events.add(self._run.id, self._run.attempt, events)
                return Result.STORED
            return await self._why_not(unit, event, appended)

    async def _store_at_once(
        self, ending: Ending, event: e.TerminalEvent, events: Sequence[e.RecordedEvent], appended: int
    ) -> bool:
        """False, and nothing is stored, if something is not as it should be: it has to be done step by step."""
        try:
            async with self._database.unit(self._run.tenant_id) as unit:
                await unit.end_with(self._storing(unit, ending, event, events, appended))
        except (_Undone, NotFound):
            return False
        return True

    def _storing(
        self,
        unit: Unit,
        ending: Ending,
        event: e.TerminalEvent,
        events: Sequence[e.RecordedEvent],
        appended: int,
    ) -> Script[None]:
        is_ours = yield from storing_plain_end(
            unit,
            self._run,
            end_state(ending),
            self._draft,
            event,
            unit.run_events.adding_last(self._run.id, self._run.attempt, events),
            *self._ledger.last_closings(unit),
            appended=appended,
        )
        if not is_ours:
            raise _Undone

    async def _receipt(self, unit: Unit, ending: Ending) -> CancelReceipt | None:
        if isinstance(ending, Cancelled) and (asked := await unit.runs.find(self._run.id)):
            # A process that has the run stops it before it tells the database.
            ending = Cancelled(min(asked.cancel_requested_at or ending.requested_at, ending.requested_at))
        return receipt_of(ending, self._draft, self._ledger.aborted_at)

    async def _why_not(self, unit: Unit, event: e.TerminalEvent, appended: int | None) -> Result:
        stored = await unit.runs.find(self._run.id)
        if stored is None or stored.attempt != self._run.attempt:
            return Result.NOT_OURS
        if stored.status in STARTED_STATUSES:
            return Result.GOES_ON if appended not in {None, stored.appended} else Result.NOT_OURS
        # An earlier try may have been committed although its answer got lost.
        is_this_end = (
            stored.finish_reason == event.finish_reason
            and stored.text_sha256 == event.text_sha256
            and stored.event_count == event.event_count
        )
        return Result.STORED if is_this_end else Result.NOT_OURS
