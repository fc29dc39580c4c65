"""Words are the scripted provider's tokens."""

import re

from retinue.domain.model_io import (
    AssistantTurn,
    ModelRequest,
    ProviderEvent,
    ReasoningPiece,
    TextPiece,
    ToolCallPiece,
    ToolTurn,
    UserTurn,
)

_WORD = re.compile(r"\s*\S+|\s+")


def pieces_of(text: str) -> list[str]:
    """The text in pieces of one word each, with the blanks before it. Joined they are the text again."""
    return _WORD.findall(text)


def count_output(event: ProviderEvent) -> int:
    """Words that the event adds; a fragment of a call's arguments counts as one."""
    match event:
        case TextPiece(text=text) | ReasoningPiece(text=text):
            return 0 if text.isspace() else 1
        case ToolCallPiece():
            return 1
        case _:
            return 0


def count_input(request: ModelRequest) -> int:
    """Words in everything that was said so far, the system prompt included."""
    texts = [request.system]
    for turn in request.turns:
        match turn:
            case UserTurn(content=text) | AssistantTurn(text=text):
                texts.append(text)
            case ToolTurn(results=results):
                texts.extend(result.content for result in results)
    return sum(len(text.split()) for text in texts)
