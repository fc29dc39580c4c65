"""Step after step, until the employee has answered."""

import asyncio

from retinue.domain import events as e
from retinue.domain.errors import StepLimitReached
from retinue.domain.model_io import FinishReason, ModelRequest, Turn
from retinue.domain.policy import RetryPolicy
from retinue.providers.base import Provider
from retinue.runs.context import RunContext
from retinue.runs.draft import Draft
from retinue.runs.ledger import CallLedger
from retinue.runs.outcome import Answered, ToolsRequested
from retinue.runs.recorder import Recorder
from retinue.runs.step import Step
from retinue.runs.tool_calls import answer_calls


class Loop:
    """The agent loop of one run. It knows events, draft and ledger; it ends by returning or raising."""

    def __init__(
        self,
        *,
        context: RunContext,
        provider: Provider,
        recorder: Recorder,
        draft: Draft,
        ledger: CallLedger,
        retries: RetryPolicy,
    ) -> None:
        self._context = context
        self._provider = provider
        self._recorder = recorder
        self._draft = draft
        self._ledger = ledger
        self._retries = retries

    async def run(self) -> FinishReason:
        """Take steps until the model answers without asking for tools.

        Raises:
            StepLimitReached: the bound on steps came first.
            ProviderError, AnswerTooLong, StorageFailed: see `Step.run`.
        """
        turns: list[Turn] = list(self._context.turns)
        deadline = asyncio.get_running_loop().time() + self._context.limits.duration
        for number in range(1, self._context.limits.max_steps + 1):
            outcome = await self._step(number, turns, deadline)
            match outcome:
                case Answered(reason=reason):
                    return reason
                case ToolsRequested(turn=turn, calls=calls):
                    self._recorder.record(e.StatusChanged(stage="running_tool"))
                    turns += [turn, answer_calls(calls, self._recorder, self._draft)]
        raise StepLimitReached

    async def _step(self, number: int, turns: list[Turn], deadline: float) -> Answered | ToolsRequested:
        self._recorder.record(e.StepStarted(step=number))
        self._recorder.record(e.StatusChanged(stage="planning"))
        step = Step(number, recorder=self._recorder, draft=self._draft, ledger=self._ledger)
        return await step.run(self._provider, self._request(turns), self._retries, deadline)

    def _request(self, turns: list[Turn]) -> ModelRequest:
        return ModelRequest(
            model=self._context.model,
            system=self._context.system,
            turns=tuple(turns),
            max_output_tokens=self._context.max_output_tokens,
            temperature=self._context.temperature,
            reasoning=self._context.reasoning,
        )
