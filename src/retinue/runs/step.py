"""One step: one model call, recorded piece by piece."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from retinue.domain import events as e
from retinue.domain.errors import BudgetExceeded, ProviderTruncated
from retinue.domain.model_io import (
    Finished,
    FinishReason,
    ModelRequest,
    ProviderEvent,
    ReasoningEnded,
    ReasoningPiece,
    TextPiece,
    ToolCall,
    ToolCallEnded,
    ToolCallPiece,
    ToolCallStarted,
    UsageReported,
)
from retinue.domain.policy import RetryPolicy
from retinue.providers.base import Provider
from retinue.providers.retry import stream_with_retry
from retinue.runs.assembler import StepAssembler
from retinue.runs.calls.arguments import MAX_REPAIRED_CALLS, is_repaired, parse_arguments
from retinue.runs.draft import Draft
from retinue.runs.ledger import CallLedger
from retinue.runs.outcome import Answered, CutOff, Outcome, RequestedCall, ToolsRequested
from retinue.runs.purse import Purse
from retinue.runs.recorder import Recorder

MANY = 64
"""Events that are taken in one go before others have their turn."""
_HELD_BACK = (FinishReason.CONTENT_FILTER, FinishReason.REFUSAL)


class Step:
    """Carries the pieces of one model call into the run's events and draft."""

    __slots__ = ("_assembler", "_calls", "_draft", "_is_answering", "_ledger", "_number", "_recorder")

    def __init__(self, number: int, *, recorder: Recorder, draft: Draft, ledger: CallLedger) -> None:
        self._number = number
        self._recorder = recorder
        self._draft = draft
        self._ledger = ledger
        self._assembler = StepAssembler()
        self._calls: list[ToolCall] = []
        self._is_answering = False

    async def run(self, provider: Provider, request: ModelRequest, retries: RetryPolicy, deadline: float) -> Outcome:
        """Ask the model once, with retries before its first delta.

        Args:
            deadline: end of the run in the event loop's time; no retry waits beyond it.

        Raises:
            ProviderError: the provider failed for good.
            AnswerTooLong, StorageFailed: the run cannot go on.
        """
        try:
            finish = await self._stream(provider, request, retries, deadline)
        except BudgetExceeded:
            return CutOff("budget")
        purse = self._ledger.purse
        if purse is not None and (finish is None or (finish is FinishReason.LENGTH and purse.output_bound)):
            return CutOff(purse.reason)
        if finish is None:
            raise ProviderTruncated
        # The calls decide, not the finish reason: several servers say `stop` and mean tools.
        if self._calls:
            return ToolsRequested(self._assembler.turn(), tuple(self._requests(finish)))
        return Answered(finish, self._assembler.turn())

    async def _stream(
        self, provider: Provider, request: ModelRequest, retries: RetryPolicy, deadline: float
    ) -> FinishReason | None:
        """Take the answer piece by piece. None if its connection was closed in the middle, because what came costs more
        than was granted for it.
        """
        self._ledger.begin_step(self._number, request, self._assembler)
        stream = stream_with_retry(
            provider, request, policy=retries, observer=self._ledger, deadline=deadline, sink=self._pour
        )
        try:
            async for events in stream:
                if not self._take_all(events):
                    return None
                if isinstance(last := events[-1], Finished):
                    return last.reason
                if self._recorder.is_behind:
                    await self._recorder.catch_up()
                elif len(events) > MANY:
                    await asyncio.sleep(0)  # others want their turn, those who read this answer among them
        finally:
            await stream.aclose()
        raise ProviderTruncated

    def _take_all(self, events: Sequence[ProviderEvent]) -> bool:
        """What came together. False as soon as it cost more than there was; what came behind that is left."""
        for event in events[self._answer(events) :]:
            if isinstance(event, TextPiece):
                self._answer_piece(event.text)
            else:
                self._take(event)
            if (purse := self._ledger.purse) is not None and _empties(purse, event):
                return False
        return True

    def _pour(self, pieces: Sequence[ProviderEvent]) -> bool:
        """Text that comes while the answer is waited for, where there is nothing more to it than to be told."""
        return not self._recorder.is_behind and len(pieces) <= MANY and self._answer(pieces, at_once=True) > 0

    def _answer(self, events: Sequence[ProviderEvent], *, at_once: bool = False) -> int:
        """Take the text with which the events begin in one go; most are nothing else. Returns how many were taken: none
        where there may not be enough money or room for all of them, and it matters which is the last.
        """
        pieces = _text_at_front(events)
        if not pieces:
            return 0
        text = pieces[0] if len(pieces) == 1 else "".join(pieces)
        if not self._draft.has_room_for(text) or not self._recorder.has_room_for(len(pieces) + 1):
            return 0
        if (purse := self._ledger.purse) is not None and not purse.take(text, pieces=len(pieces)):
            return 0
        self._draft.add_text(text)
        self._assembler.add_text(text)
        self._recorder.record(
            *self._begun_answering(), *[e.TextDelta(delta=piece) for piece in pieces], at_once=at_once
        )
        return len(pieces)

    def _answer_piece(self, piece: str) -> None:
        begun = self._begun_answering()
        self._recorder.require_room(len(begun) + 1)
        self._draft.add_text(piece)
        self._assembler.add_text(piece)
        self._recorder.record(*begun, e.TextDelta(delta=piece))

    def _begun_answering(self) -> tuple[e.StatusChanged, ...]:
        """What there is to tell before the first text, and nothing before the others."""
        if self._is_answering:
            return ()
        self._is_answering = True
        return (e.StatusChanged(stage="answering"),)

    def _take(self, event: ProviderEvent) -> None:
        match event:
            case ReasoningPiece(text=text):
                self._recorder.require_room()
                self._draft.add_reasoning(text)
                self._assembler.add_reasoning(text)
                self._recorder.record(e.ReasoningDelta(delta=text))
            case ReasoningEnded():
                self._assembler.end_reasoning(event)
            case ToolCallStarted():
                self._draft.add_call_text(event.id + event.name)
                self._assembler.start_call(event)
                self._recorder.record(e.ToolCallStarted(tool_call_id=event.id, tool=event.name))
            case ToolCallPiece():
                self._draft.add_call_text(event.fragment)
                self._assembler.add_arguments(event)
                self._recorder.record(e.ToolCallDelta(tool_call_id=event.id, delta=event.fragment))
            case ToolCallEnded():
                self._calls.append(self._assembler.end_call(event))
            case _:
                pass

    def _requests(self, finish: FinishReason) -> Iterator[RequestedCall]:
        """The calls with their arguments read, which takes knowing how the answer ended: what was cut off must not be
        completed by guessing, and what was held back not be carried out. Such arguments stay text, which fits no tool.
        """
        is_cut_off = finish is FinishReason.LENGTH
        for number, call in enumerate(self._calls):
            args: Any = call.arguments
            if finish not in _HELD_BACK and (args.strip() or not is_cut_off):
                args = parse_arguments(args, may_repair=number < MAX_REPAIRED_CALLS and not is_cut_off)
            repaired = is_repaired(call.arguments, args)
            self._recorder.record(
                e.ToolCallRequested(tool_call_id=call.id, tool=call.name, args=args, is_repaired=repaired)
            )
            yield RequestedCall(id=call.id, name=call.name, args=args)


def _text_at_front(events: Sequence[ProviderEvent]) -> list[str]:
    pieces: list[str] = []
    for event in events:
        if type(event) is not TextPiece:
            break
        pieces.append(event.text)
    return pieces


def _empties(purse: Purse, event: ProviderEvent) -> bool:
    """Whether this piece cost more than there was. What is only told afterwards ends nothing: it has been spent."""
    match event:
        case TextPiece(text=piece) | ReasoningPiece(text=piece) | ToolCallPiece(fragment=piece):
            purse.count(piece)
            return purse.is_empty
        case UsageReported(usage=usage):
            purse.learn(usage)
    return False
