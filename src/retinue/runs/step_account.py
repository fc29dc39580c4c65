"""What one step sent and got, to estimate what the provider does not tell."""

from collections.abc import Callable
from functools import cached_property

import msgspec

from retinue.domain.budgets import Grant, Quote
from retinue.domain.model_io import ModelRequest
from retinue.domain.runs import CallOutcome
from retinue.domain.usage import Provenance, Usage
from retinue.providers.estimate import estimate_input, estimate_usage
from retinue.providers.pricing import Pricing, input_bound
from retinue.runs.assembler import StepAssembler
from retinue.runs.purse import Purse


class StepAccount:
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
        if outcome is CallOutcome.COMPLETED and reported is not None and _is_whole(reported):
            return reported
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


def _is_whole(reported: Usage) -> bool:
    return reported.input_tokens is not None and reported.output_tokens is not None


def _completed(reported: Usage, estimate: Usage) -> Usage:
    """The report, with an estimate in the place of a total that it lacks."""
    totals = ("input_tokens", "output_tokens")
    missing = {name: getattr(estimate, name) for name in totals if getattr(reported, name) is None}
    return msgspec.structs.replace(reported, **missing, provenance=Provenance.ESTIMATED) if missing else reported
