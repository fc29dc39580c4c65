"""Books every provider attempt: a row opened before the call and closed exactly once."""

from collections.abc import Callable
from datetime import datetime
from functools import cached_property
from uuid import UUID

import msgspec

from retinue.db.session import Database, Unit
from retinue.domain import events as e
from retinue.domain.budgets import Grant, Quote
from retinue.domain.errors import ProcessLost, ProviderError, RequestError
from retinue.domain.ids import new_id, now
from retinue.domain.model_io import ModelRequest
from retinue.domain.runs import CallOutcome, LedgerEntry, Run
from retinue.domain.usage import Cost, Provenance, Usage
from retinue.observability.metrics import METRICS
from retinue.providers.estimate import estimate_input, estimate_usage
from retinue.providers.pricing import Pricing, input_bound
from retinue.runs.assembler import StepAssembler
from retinue.runs.draft import Draft
from retinue.runs.purse import Purse
from retinue.runs.recorder import Recorder
from retinue.runs.storing import persistently


class CallLedger:
    """The run's page of the ledger; `providers.retry` tells it of every try.

    A closing is written together with the next opening or with the run's end, whichever comes first, so that a short
    turn needs no transaction of its own for it. A process that dies in between leaves the row open; recovery closes it.
    """

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
        self._step = _StepAccount(first_step, first_request)
        self.purse: Purse | None = None
        """What the call that is made may still cost; None if nothing bounds it."""
        self.aborted_at: datetime | None = None
        """When a call was cut off and its connection closed."""
        self._open: UUID | None = None
        self._closings: list[_Closing] = []
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
        self._open = entry.id
        self._is_first_open_stored = True

    def begin_step(self, number: int, request: ModelRequest, assembler: StepAssembler) -> None:
        """The next tries are this step's; `assembler` is asked for what came when a count has to be estimated."""
        self._step = _StepAccount(number, lambda: request, assembler)

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
        self.purse = None
        if self._pricing.is_free:
            return
        grant = await unit.ledger.reserve(entry, self._quote, is_new=is_new)
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
            _Closing(
                id=self._open,
                outcome=outcome,
                usage=usage,
                cost=cost,
                error_code=error.problem_code if error else None,
                at=closed_at,
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
        for closing in self._closings:
            await unit.ledger.close(
                closing.id,
                outcome=closing.outcome,
                usage=closing.usage,
                cost=closing.cost,
                error_code=closing.error_code,
                at=closing.at,
            )

    def forget_closings(self) -> None:
        """What was to be closed is closed, and committed."""
        self._closings.clear()

    def abort_open(self) -> None:
        """The run ends before its call was even made."""
        if self._open is not None:
            self._closings.append(_Closing(id=self._open, outcome=CallOutcome.ABORTED, at=now()))
            self._open = None

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


class _StepAccount:
    """What one step sent and got, to estimate what the provider does not tell."""

    def __init__(
        self, number: int, request: Callable[[], ModelRequest], assembler: StepAssembler | None = None
    ) -> None:
        self.number = number
        self._request = request
        self._assembler = assembler

    @cached_property
    def _asked(self) -> ModelRequest:
        return self._request()

    @cached_property
    def _input_tokens(self) -> int:
        return estimate_input(self._asked)

    def quote(self, pricing: Pricing) -> Quote | None:
        """What one call of the step may cost."""
        return pricing.quote(self._input_tokens, self._asked.max_output_tokens)

    def purse(self, pricing: Pricing, grant: Grant) -> Purse:
        return Purse(pricing, grant, self._asked, input_bound(self._input_tokens))

    def settle(self, outcome: CallOutcome, reported: Usage | None, purse: Purse | None) -> Usage | None:
        """The usage to book.

        A completed call's report stands; what it does not tell is estimated, or nobody could say what the call
        has cost. A call that was cut off has at best counted what it sent first, so its output is the greater of report
        and estimate. A call that failed before anything came stays unknown.
        """
        estimate = self._estimate(purse)
        if estimate is None or (outcome is CallOutcome.FAILED and not estimate.output_tokens):
            return reported
        if reported is None:
            return estimate
        usage = _completed(reported, estimate)
        if outcome is CallOutcome.COMPLETED or (usage.output_tokens or 0) >= (estimate.output_tokens or 0):
            return usage
        return msgspec.structs.replace(usage, output_tokens=estimate.output_tokens, provenance=Provenance.ESTIMATED)

    def _estimate(self, purse: Purse | None) -> Usage | None:
        if self._assembler is None:
            return None
        estimate = estimate_usage(
            self._asked,
            text=self._assembler.text,
            reasoning=self._assembler.reasoning,
            arguments=self._assembler.arguments,
        )
        if purse is None or purse.output_tokens <= (estimate.output_tokens or 0):
            return estimate
        return msgspec.structs.replace(estimate, output_tokens=purse.output_tokens)


def _completed(reported: Usage, estimate: Usage) -> Usage:
    """The report, with an estimate in the place of a total that it lacks."""
    totals = ("input_tokens", "output_tokens")
    missing = {name: getattr(estimate, name) for name in totals if getattr(reported, name) is None}
    return msgspec.structs.replace(reported, **missing, provenance=Provenance.ESTIMATED) if missing else reported


class _Closing(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    outcome: CallOutcome
    usage: Usage | None = None
    cost: Cost | None = None
    error_code: str | None = None
    at: datetime
