"""Step after step, until the employee has answered."""

from collections.abc import Sequence

from retinue.domain import events as e
from retinue.domain.model_io import AssistantTurn, Turn, UserTurn
from retinue.domain.policy import RetryPolicy
from retinue.domain.usage import Usage
from retinue.providers.base import Provider
from retinue.runs.boundary import Boundary
from retinue.runs.calls.acting import Acting
from retinue.runs.calls.journal import Plan
from retinue.runs.context import RunContext
from retinue.runs.draft import Draft
from retinue.runs.ledger import CallLedger
from retinue.runs.limiting.tokens import RunTokens
from retinue.runs.outcome import Answered, CutOff, LoopEnd, Outcome, Pause, StepsUsedUp, ToolsRequested
from retinue.runs.recorder import Recorder
from retinue.runs.step import Step

BETWEEN_ANSWERS = "\n\n"
"""Stands between the answer so far and what an appended message adds to it."""


class Loop:
    """The agent loop of one run: model calls and the tool calls they ask for, in turns. What it leads to is a value.

    A completed step is stored at its boundary, before the next one begins; a run that is resumed goes on behind it, or
    in the middle of the step whose tool calls were planned.
    """

    __slots__ = (
        "_acting",
        "_allowed",
        "_answered",
        "_boundary",
        "_completed",
        "_context",
        "_draft",
        "_ledger",
        "_plan",
        "_provider",
        "_recorder",
        "_retries",
        "_tokens",
        "_turns",
    )

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
        acting: Acting,
        tokens: RunTokens,
        completed_steps: int = 0,
        turns: Sequence[Turn] = (),
        counted_from: int = 0,
        plan: Plan | None = None,
    ) -> None:
        """
        Args:
            plan: the tool calls to go on with; their model call is not made again.
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
        self._acting = acting
        self._tokens = tokens
        self._plan = plan
        self._completed = completed_steps
        self._allowed = counted_from + context.limits.max_steps
        self._turns = list(turns)
        self._answered: Answered | None = None

    async def run(self, deadline: float) -> LoopEnd:
        """Take steps until the model answers without asking for tools, a person is needed, or the steps or the money
        are used up.

        Called again after an answer, it takes the messages that were appended meanwhile and answers them, too; called
        again after a pause that was not stored, it looks anew.

        Args:
            deadline: of all of it, in the event loop's time; no retry waits beyond it.

        Raises:
            ProcessLost: the run belongs to another process by now.
            CancelAsked: the run is to be cancelled.
            ProviderError, AnswerTooLong, StorageFailed: see `Step.run`.
        """
        if self._answered is not None and not await self._take_appended(self._answered):
            return self._answered
        self._part_answers()
        if self._plan is not None and (pause := await self._act(self._plan)):
            return pause
        while self._completed < self._allowed:
            outcome = await self._step(deadline)
            match outcome:
                case Answered():
                    self._answered = outcome
                    return outcome
                case CutOff():
                    return outcome
                case ToolsRequested(turn=turn, calls=calls):
                    self._plan = await self._acting.plan(self._completed + 1, turn, calls)
                    if pause := await self._act(self._plan):
                        return pause
        return StepsUsedUp()

    async def _act(self, plan: Plan) -> Pause | None:
        """Work off the calls of the step, which completes it."""
        done = await self._acting.work_off(plan)
        if isinstance(done, Pause):
            return done
        await self._complete(plan.turn, done)
        self._plan = None
        return None

    def _part_answers(self) -> None:
        if self._plan is None and self._draft.text and _answers_once_more(self._turns):
            self._draft.add_text(BETWEEN_ANSWERS)
            self._recorder.record(e.TextDelta(delta=BETWEEN_ANSWERS))

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
        self._recorder.record(e.StepStarted(step=number), e.StatusChanged(stage="planning"))
        step = Step(number, recorder=self._recorder, draft=self._draft, ledger=self._ledger)
        request = self._context.model_request(self._turns)
        async with self._tokens.spending(request, self._used, self._tell_of_waiting):
            return await step.run(self._provider, request, self._retries, deadline)

    def _used(self) -> Usage | None:
        return self._draft.usage

    def _tell_of_waiting(self) -> None:
        self._recorder.record(e.StatusChanged(stage="waiting"))


def _answers_once_more(turns: Sequence[Turn]) -> bool:
    """Whether the last turns are a whole answer and messages that were appended after it."""
    spoken = [turn for turn in turns if not isinstance(turn, UserTurn)]
    return bool(spoken) and isinstance(turns[-1], UserTurn) and isinstance(spoken[-1], AssistantTurn)
