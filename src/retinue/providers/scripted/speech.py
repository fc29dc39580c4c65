"""How scripts speak, think and call tools."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from retinue.domain.model_io import (
    ModelRequest,
    ProviderEvent,
    ReasoningEnded,
    ReasoningPiece,
    TextPiece,
    ToolCallEnded,
    ToolCallPiece,
    ToolCallStarted,
    UserTurn,
)
from retinue.providers.scripted.words import pieces_of

_THOUGHTS = (
    "There is no model behind this answer, so there is nothing to ponder.",
    " The words are chosen by the name of the scripted model.",
    " Reasoning still travels the way it would from a real provider.",
)
_DEPTH = {"low": 1, "medium": 2, "on": 2, "high": 3}
_FRAGMENT = 8
"""Characters of a tool call's arguments that come at once."""


def say(text: str) -> Iterator[ProviderEvent]:
    """The text, word by word."""
    return map(TextPiece, pieces_of(text))


def think(request: ModelRequest) -> Iterator[ProviderEvent]:
    """As many thoughts as the request asks for."""
    if request.reasoning is None or request.reasoning == "off":
        return
    for thought in _THOUGHTS[: _DEPTH[request.reasoning]]:
        yield from map(ReasoningPiece, pieces_of(thought))
    yield ReasoningEnded()


def call(request: ModelRequest, calls: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[ProviderEvent]:
    """Tool calls by name and arguments, with ids that the request does not have yet."""
    for number, (name, args) in enumerate(calls, len(request.call_ids) + 1):
        id_ = f"call_{number}"
        text = msgspec.json.encode(args).decode()
        yield ToolCallStarted(id=id_, name=name)
        for start in range(0, len(text), _FRAGMENT):
            yield ToolCallPiece(id=id_, fragment=text[start : start + _FRAGMENT])
        yield ToolCallEnded(id=id_)


def last_user_text(request: ModelRequest) -> str:
    return next((turn.content for turn in reversed(request.turns) if isinstance(turn, UserTurn)), "")
