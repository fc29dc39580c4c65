"""Books every provider attempt: a row opened before the call and closed exactly once."""

from datetime import datetime
from uuid import UUID

import msgspec

from retinue.db.session import Database, Unit
from retinue.domain import events as e
from retinue.domain.errors import ProcessLost, ProviderError
from retinue.domain.ids import new_id, now
from retinue.domain.model_io import ModelRequest
from retinue.domain.runs import CallOutcome, LedgerEntry, Run
from retinue.domain.usage import Cost, Provenance, Usage
from retinue.providers.base import ProviderConfig
from retinue.providers.estimate import estimate_usage
from retinue.providers.pricing import cost_of
from retinue.runs.assembler import StepAssembler
from retinue.runs.draft import Draft
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
        provider: ProviderConfig,
        model: str,
        recorder: Recorder,
        draft: Draft,
        first_step: int = 1,
    ) -> None:
        self._database = database
        self._run = run
        self._provider = provider
        self._model = model
        self._recorder = recorder
        self._draft = draft
        self._step = _StepAccount(first_step)
        self.aborted_at: datetime | None = None
        """When a call was cut off and its connection closed."""
        self._open: UUID | None = None
        self._closings: list[_Closing] = []
        self._is_first_open_stored = False

    def first_entry(self) -> LedgerEntry:
        """The row of the run's first call, to be stored by the transaction that starts the run."""
        entry = self._entry(tries=1)
        self._open = entry.id
        self._is_first_open_stored = True
        return entry

    def begin_step(self, number: int, request: ModelRequest, assembler: StepAssembler) -> None:
        """The next tries are this step's; `assembler` is asked for what came when a count has to be estimated."""
        self._step = _StepAccount(number, request, assembler)

    async def opened(self, tries: int) -> None:
        """Raises:
        ProcessLost: whoever may not own the run any more asks no provider again.
        Unavailable, StorageFailed: the database did not take it for a while.
        """
        if not self._recorder.hold.is_held:
            raise ProcessLost
        self._draft.speed.call_started()
        if self._is_first_open_stored:
            self._is_first_open_stored = False
            return
        entry = self._entry(tries=tries)
        # First of all: nobody knows whether a commit that is cut off took place, and closing no row is harmless.
        self._open = entry.id
        await persistently(lambda: self._store(entry))
        self._closings.clear()

    async def _store(self, entry: LedgerEntry) -> None:
        async with self._database.unit(self._run.tenant_id) as unit:
            await self.write_closings(unit)
            await unit.ledger.open(entry)

    async def closed(
        self, _tries: int, *, outcome: CallOutcome, usage: Usage | None, error: ProviderError | None
    ) -> None:
        """Book the try: usage and cost count at once, the row is written with the next transaction of the run."""
        if self._open is None:
            return
        usage = self._step.settle(outcome, usage)
        cost = self._cost(usage) if usage else None
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
            name = self._provider.provider
            self._recorder.record(
                e.UsageRecorded(step=self._step.number, provider=name, model=self._model, usage=usage, cost=cost)
            )

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

    def _cost(self, usage: Usage) -> Cost | None:
        return cost_of(usage, provider=self._provider.provider, model=self._model, base_url=self._provider.base_url)

    def _entry(self, *, tries: int) -> LedgerEntry:
        return LedgerEntry(
            id=new_id(),
            tenant_id=self._run.tenant_id,
            run_id=self._run.id,
            conversation_id=self._run.conversation_id,
            employee_id=self._run.employee_id,
            step=self._step.number,
            attempt=self._run.attempt,
            tries=tries,
            provider=self._provider.provider,
            model=self._model,
            outcome=CallOutcome.OPEN,
            opened_at=now(),
        )


class _StepAccount:
    """What one step sent and got, to estimate what the provider does not tell."""

    def __init__(
        self, number: int, request: ModelRequest | None = None, assembler: StepAssembler | None = None
    ) -> None:
        self.number = number
        self._request = request
        self._assembler = assembler

    def settle(self, outcome: CallOutcome, reported: Usage | None) -> Usage | None:
        """The usage to book.

        A completed call's report stands. A call that was cut off has at best counted what it sent first, so its
        output is the greater of report and estimate. A call that failed before anything came stays unknown.
        """
        estimate = self._estimate()
        if outcome is CallOutcome.COMPLETED:
            return reported or estimate
        if estimate is None or (outcome is CallOutcome.FAILED and not estimate.output_tokens):
            return reported
        if reported is None:
            return estimate
        if (reported.output_tokens or 0) >= (estimate.output_tokens or 0):
            return reported
        return msgspec.structs.replace(reported, output_tokens=estimate.output_tokens, provenance=Provenance.ESTIMATED)

    def _estimate(self) -> Usage | None:
        if self._request is None or self._assembler is None:
            return None
        return estimate_usage(
            self._request,
            text=self._assembler.text,
            reasoning=self._assembler.reasoning,
            arguments=self._assembler.arguments,
        )


class _Closing(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    outcome: CallOutcome
    usage: Usage | None = None
    cost: Cost | None = None
    error_code: str | None = None
    at: datetime
