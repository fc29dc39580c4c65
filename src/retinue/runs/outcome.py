"""What a step leads to. The loop matches these exhaustively."""

from typing import Any

import msgspec

from retinue.domain.model_io import AssistantTurn, FinishReason


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


Outcome = Answered | ToolsRequested
