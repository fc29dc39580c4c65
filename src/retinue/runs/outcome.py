"""What a step leads to, and what a run's loop leads to. Both are matched exhaustively."""

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from retinue.domain.approvals import Approval
from retinue.domain.model_io import AssistantTurn, FinishReason
from retinue.domain.runs import WaitingFor
from retinue.domain.tools import JournalEntry


class Answered(msgspec.Struct, frozen=True):
    """The model has said what it wants to say; the run completes, unless another message has been appended to it."""

    reason: FinishReason
    turn: AssistantTurn


class RequestedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call whose arguments were read. They are read once: to repair broken ones takes time."""

    id: str
    name: str
    args: Any


class ToolsRequested(msgspec.Struct, frozen=True):
    """The model wants tool results before it goes on."""

    turn: AssistantTurn
    calls: tuple[RequestedCall, ...]


class CutOff(msgspec.Struct, frozen=True):
    """The answer ends here, in the middle or before the next step. What there is of it is kept, and none of the tool
    calls that the step had asked for is made.
    """

    reason: Literal["budget", "length"]
    """`budget`: nothing is left to pay for more. `length`: it is as long as it may be, and its provider goes on."""


Outcome = Answered | ToolsRequested | CutOff


class StepsUsedUp(msgspec.Struct, frozen=True):
    """The bound on steps came before an answer."""


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """The run cannot go on without a person. Nothing of this is stored yet."""

    step: int
    turn: AssistantTurn
    waiting_for: WaitingFor
    calls: tuple[JournalEntry, ...]
    """The calls that a person has to do something about, the first of them first."""
    requests: tuple[Approval, ...] = ()
    """Approvals that have not been asked for yet. Their times and places are filled in when they are stored."""
    approvals: tuple[UUID, ...] = ()
    """What was asked for before and has not been decided."""
    password_tries: int = 0
    """Wrong passwords that were supplied for the call."""


class CancelAsked(Exception):
    """The run is to be cancelled, and nothing new may begin in it."""

    def __init__(self, requested_at: datetime) -> None:
        super().__init__()
        self.requested_at = requested_at


LoopEnd = Answered | StepsUsedUp | CutOff | Pause
