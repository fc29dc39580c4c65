"""Books every provider attempt: a row opened before the call and closed exactly once."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from retinue.db.changes import Change
from retinue.db.repositories.ledger import CallEnd
from retinue.db.scripts import Script
from retinue.db.session import Database, Unit
from retinue.domain import events as e
from retinue.domain.budgets import Grant, Quote, Reservation
from retinue.domain.errors import ProcessLost, ProviderError, RequestError
from retinue.domain.ids import new_id, now
from retinue.domain.model_io import ModelRequest
from retinue.domain.runs import CallOutcome, LedgerEntry, Run
from retinue.domain.usage import Cost, Usage
from retinue.observability.metrics import METRICS
from retinue.providers.pricing import Pricing
from retinue.runs.assembler import StepAssembler
from retinue.runs.draft import Draft
from retinue.runs.purse import Purse
from retinue.runs.recorder import Recorder
from retinue.runs.step_account import StepAccount
from retinue.runs.storing import persistently


class CallLedger:
    """The run's page of the ledger; `providers.retry` tells it of every try.

    A closing is written together with the next opening or with the run's end, whichever comes first, so that a short
    turn needs no transaction of its own for it. A process that dies in between leaves the row open; recovery closes it.
    """

    __slots__ = (
        "_closings",
        "_database",
        "_draft",
        "_held",
        "_is_first_open_stored",
        "_open",
        "_pricing",
        "_recorder",
        "_run",
        "_step",
        "aborted_at",
        "purse",
    )

    def __init__(
        self,
        *,
        database: Database,
        run: Run,
        pricing: Pricing,
        recorder: Recorder,
        draft: Draft,
        first_request: Callable[[], ModelRequest],
        first_step: int = 1,
    ) -> None:
        """
        Args:
            first_request: what the run will ask its model first.
        """
        self._database = database
        self._run = run
        self._pricing = pricing
        self._recorder = recorder
        self._draft = draft
        self._step = StepAccount(first_step, first_request)
        self.purse: Purse | None = None
        """What the call that is made may still cost; None if nothing bounds it."""
        self.aborted_at: datetime | None = None
        """When a call was cut off and its connection closed."""
        self._open: UUID | None = None
        self._closings: list[_Closing] = []
        self._held: tuple[Reservation, ...] = ()
        self._is_first_open_stored = False

    async def open_first_call(self, unit: Unit) -> None:
        """Open the run's first call in the transaction that starts the run. If it raises, nothing is open, and the
        call can be opened later.

        Raises:
            BudgetExceeded: there is no money for it.
            Conflict: `price_unknown`.
        """
        entry = self._entry(tries=1)
        await self._book(unit, entry)
        self._note_first(entry)

    def booking_first_call(self, unit: Unit, *, is_tenant_locked: bool) -> Script[Sequence[Change[object]]]:
        """The same for a run that is not stored yet; see `LedgerRepository.booking`. If the transaction fails, this
        ledger is of no use any more.
        """
        entry = self._entry(tries=1)
        changes: Sequence[Change[object]] = [unit.ledger.opening(entry)]
        if not self._pricing.is_free:
            grant, changes = yield from unit.ledger.booking(entry, self._quote, is_tenant_locked=is_tenant_locked)
            self._take(unit, entry, grant)
        self._note_first(entry)
        return changes

    def _note_first(self, entry: LedgerEntry) -> None:
        self._open = entry.id
        self._is_first_open_stored = True

    def begin_step(self, number: int, request: ModelRequest, assembler: StepAssembler) -> None:
        """The next tries are this step's; `assembler` is asked for what came when a count has to be estimated."""
        self._step = StepAccount(number, lambda: request, assembler)

    async def opened(self, tries: int) -> int | None:
        """The output tokens that the call may ask for at most, if money bounds them.

        Raises:
            ProcessLost: whoever may not own the run any more asks no provider again.
            BudgetExceeded: there is no money for it.
            Conflict: `price_unknown`.
            Unavailable, StorageFailed: the database did not take it for a while.
        """
        if not self._recorder.hold.is_held:
            raise ProcessLost
        self._draft.speed.call_started()
        if self._is_first_open_stored:
            self._is_first_open_stored = False
            return self._output_bound
        entry = self._entry(tries=tries)
        # First of all: nobody knows whether a commit that is cut off took place, and closing no row is harmless.
        self._open = entry.id
        try:
            await persistently(lambda: self._store(entry))
        except RequestError:
            self._open = None
            raise
        self._closings.clear()
        return self._output_bound

    async def _store(self, entry: LedgerEntry) -> None:
        async with self._database.unit(self._run.tenant_id) as unit:
            await self._book(unit, entry)

    async def _book(self, unit: Unit, entry: LedgerEntry) -> None:
        """Open the row first, as it has to be: who makes a budget lets no row be opened and then waits for those that
        are being closed.
        """
        is_new = await unit.ledger.open(entry)
        await self.write_closings(unit)
        self.purse, self._held = None, ()
        if not self._pricing.is_free:
            self._take(unit, entry, await unit.ledger.reserve(entry, self._quote, is_new=is_new))

    def _take(self, unit: Unit, entry: LedgerEntry, grant: Grant | None) -> None:
        self._held = unit.ledger.held.get(entry.id, ())
        if grant is not None:
            self.purse = self._step.purse(self._pricing, grant)

    def _quote(self) -> Quote | None:
        return self._step.quote(self._pricing)

    def closed(self, _tries: int, *, outcome: CallOutcome, usage: Usage | None, error: ProviderError | None) -> None:
        """Book the try: usage and cost count at once, the row is written with the next transaction of the run."""
        if self._open is None:
            return
        usage = self._step.settle(outcome, usage, self.purse)
        cost = self._pricing.cost(usage) if usage else None
        self._count(outcome, usage)
        closed_at = now()
        if outcome is CallOutcome.ABORTED:
            self.aborted_at = closed_at
        self._closings.append(
            self._closing(
                self._open, outcome, at=closed_at, usage=usage, cost=cost, code=error.problem_code if error else None
            )
        )
        self._open = None
        self._draft.add_call(usage, cost)
        if outcome is CallOutcome.COMPLETED and usage is not None:
            named = {"provider": self._pricing.provider, "model": self._pricing.model}
            self._recorder.record(e.UsageRecorded(step=self._step.number, **named, usage=usage, cost=cost))

    @property
    def _output_bound(self) -> int | None:
        return self.purse.output_bound if self.purse is not None else None

    @property
    def has_closings(self) -> bool:
        """Whether something is to be closed."""
        return bool(self._closings)

    async def write_closings(self, unit: Unit) -> None:
        """Close what is to be closed, inside the caller's transaction. Safe to repeat: a row closes only once."""
        if self._closings:
            await unit.together(*(unit.ledger.closing(each.id, **each.end) for each in self._closings))

    def last_closings(self, unit: Unit) -> Sequence[Change[bool]]:
        """The same for `Unit.together`, as the last that a transaction asks for. It must be rolled back if one of them
        tells no.
        """
        match self._closings:
            case [_Closing(id=entry_id, held=(held,), end=end)]:
                return unit.ledger.closing_settled(entry_id, held, **end)
        return [unit.ledger.closing(each.id, **each.end) for each in self._closings]

    def forget_closings(self) -> None:
        """What was to be closed is closed, and committed."""
        self._closings.clear()

    def abort_open(self) -> None:
        """The run ends before its call was even made."""
        if self._open is not None:
            self._closings.append(self._closing(self._open, CallOutcome.ABORTED, at=now()))
            self._open = None

    def _closing(
        self,
        entry_id: UUID,
        outcome: CallOutcome,
        *,
        at: datetime,
        usage: Usage | None = None,
        cost: Cost | None = None,
        code: str | None = None,
    ) -> "_Closing":
        end: CallEnd = {"outcome": outcome, "usage": usage, "cost": cost, "error_code": code, "at": at}
        return _Closing(entry_id, end, self._held)

    def _count(self, outcome: CallOutcome, usage: Usage | None) -> None:
        METRICS.provider_called(
            self._pricing.provider,
            outcome.value,
            input_tokens=usage.input_tokens if usage else None,
            output_tokens=usage.output_tokens if usage else None,
        )

    def _entry(self, *, tries: int) -> LedgerEntry:
        return LedgerEntry(
            id=new_id(),
            tenant_id=self._run.tenant_id,
            run_id=self._run.id,
            conversation_id=self._run.conversation_id,
            employee_id=self._run.employee_id,
            user_id=self._run.user_id,
            key_id=self._run.key_id,
            step=self._step.number,
            attempt=self._run.attempt,
            tries=tries,
            provider=self._pricing.provider,
            model=self._pricing.model,
            outcome=CallOutcome.OPEN,
            opened_at=now(),
        )


class _Closing(NamedTuple):
    id: UUID
    end: CallEnd
    held: tuple[Reservation, ...]
    """What it is known to hold of budgets; empty if that is not known."""
