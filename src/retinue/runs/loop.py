"""Step after step, until the employee has answered."""

from collections.abc import Sequence

from retinue.domain import events as e
from retinue.domain.errors import StepLimitReached
from retinue.domain.model_io import AssistantTurn, FinishReason, Turn, UserTurn
from retinue.domain.policy import RetryPolicy
from retinue.providers.base import Provider
from retinue.runs.boundary import Boundary
from retinue.runs.context import RunContext
from retinue.runs.draft import Draft
from retinue.runs.ledger import CallLedger
from retinue.runs.outcome import Answered, Outcome, ToolsRequested
from retinue.runs.recorder import Recorder
from retinue.runs.step import Step
from retinue.runs.tool_calls import answer_calls

BETWEEN_ANSWERS = "\n\n"
"""Stands between the answer so far and what an appended message adds to it."""


class Loop:
    """The agent loop of one run. It knows events, draft and ledger; it ends by returning or raising.

    A completed step is stored at its boundary, before the next one begins; a run that is resumed goes on behind it.
    """

    def __init__(
        self,
        *,
        context: RunContext,
        provider: Provider,
        recorder: Recorder,
        draft: Draft,
        ledger: CallLedger,
        retries: RetryPolicy,
        boundary: Boundary,
        completed_steps: int = 0,
        turns: Sequence[Turn] = (),
        counted_from: int = 0,
    ) -> None:
        """
        Args:
            turns: what the completed steps added to the conversation with the model.
            counted_from: the completed step behind which the bound on steps begins.
        """
        self._context = context
        self._provider = provider
        self._recorder = recorder
        self._draft = draft
        self._ledger = ledger
        self._retries = retries
        self._boundary = boundary
        self._completed = completed_steps
        self._allowed = counted_from + context.limits.max_steps
        self._turns = list(turns)
        self._answered: Answered | None = None

    async def run(self, deadline: float) -> FinishReason:
        """Take steps until the model answers without asking for tools.

        Called again after that, it takes the messages that were appended meanwhile and answers them, too.

        Args:
            deadline: of all of it, in the event loop's time; no retry waits beyond it.

        Raises:
            StepLimitReached: the bound on steps came first.
            ProcessLost: the run belongs to another process by now.
            ProviderError, AnswerTooLong, StorageFailed: see `Step.run`.
        """
        if self._answered is not None and not await self._take_appended(self._answered):
            return self._answered.reason
        if self._draft.text and _answers_once_more(self._turns):
            self._draft.add_text(BETWEEN_ANSWERS)
            self._recorder.record(e.TextDelta(delta=BETWEEN_ANSWERS))
        while self._completed < self._allowed:
            outcome = await self._step(deadline)
            match outcome:
                case Answered(reason=reason):
                    self._answered = outcome
                    return reason
                case ToolsRequested(turn=turn, calls=calls):
                    self._recorder.record(e.StatusChanged(stage="running_tool"))
                    results = answer_calls(calls, self._recorder, self._draft)
                    await self._complete(turn, results)
        raise StepLimitReached

    async def _take_appended(self, answered: Answered) -> bool:
        if not await self._complete(answered.turn, is_last=True):
            return False
        self._answered = None
        return True

    async def _complete(self, *turns: Turn, is_last: bool = False) -> bool:
        """Store the step with everything that came before its boundary; messages that wait become its last turns.

        Returns whether there were any.
        """
        taken = await self._boundary.cross(self._completed + 1, turns, is_last=is_last)
        if is_last and not taken:
            return False
        self._completed += 1
        self._turns += [*turns, *taken]
        if taken:
            self._allowed = self._completed + self._context.limits.max_steps
        return bool(taken)

    async def _step(self, deadline: float) -> Outcome:
        number = self._completed + 1
        self._recorder.record(e.StepStarted(step=number))
        self._recorder.record(e.StatusChanged(stage="planning"))
        step = Step(number, recorder=self._recorder, draft=self._draft, ledger=self._ledger)
        request = self._context.model_request(self._turns)
        return await step.run(self._provider, request, self._retries, deadline)


def _answers_once_more(turns: Sequence[Turn]) -> bool:
    """Whether the last turns are a whole answer and messages that were appended after it."""
    spoken = [turn for turn in turns if not isinstance(turn, UserTurn)]
    return bool(spoken) and isinstance(turns[-1], UserTurn) and isinstance(spoken[-1], AssistantTurn)
