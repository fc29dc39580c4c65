"""Token counts for providers that report none.

No tokenizer is loaded: they differ by vendor and model, and an estimate is marked as one. The rule: four characters of
ASCII are a token, as in English text of all common vocabularies; other characters are mostly scripts that need about a
token for every one and a half characters. For prose of one language it is right to about a third.
"""

from math import ceil

import msgspec

from retinue.domain.model_io import AssistantTurn, ModelRequest, ToolTurn, Turn, UserTurn
from retinue.domain.usage import Provenance, Usage

ASCII_PER_TOKEN = 4.0
OTHER_PER_TOKEN = 1.5
PER_MESSAGE = 4
"""Tokens that a vendor's format adds around each message."""


def estimate_tokens(text: str) -> int:
    """Tokens of a text; 0 for an empty one, else at least 1."""
    if text.isascii():
        return ceil(len(text) / ASCII_PER_TOKEN)
    plain = sum(map(str.isascii, text))
    return ceil(plain / ASCII_PER_TOKEN + (len(text) - plain) / OTHER_PER_TOKEN)


def estimate_input(request: ModelRequest) -> int:
    """Tokens of everything that a request sends."""
    total = PER_MESSAGE + estimate_tokens(request.system) if request.system else 0
    total += sum(estimate_turn(turn) for turn in request.turns)
    for tool in request.tools:
        schema = msgspec.json.encode(tool.parameters).decode()
        total += PER_MESSAGE + estimate_tokens(tool.name) + estimate_tokens(tool.description) + estimate_tokens(schema)
    return total


def estimate_turn(turn: Turn) -> int:
    """Tokens of one turn of the history. Reasoning counts, although not every provider gets it back."""
    match turn:
        case UserTurn():
            return PER_MESSAGE + estimate_tokens(turn.content)
        case AssistantTurn(reasoning=(), tool_calls=()):
            return PER_MESSAGE + estimate_tokens(turn.text)
        case AssistantTurn():
            calls = sum(estimate_tokens(call.name) + estimate_tokens(call.arguments) for call in turn.tool_calls)
            reasoning = sum(estimate_tokens(block.text) for block in turn.reasoning)
            return PER_MESSAGE + estimate_tokens(turn.text) + calls + reasoning
        case ToolTurn():
            return sum(PER_MESSAGE + estimate_tokens(result.content) for result in turn.results)


def estimate_usage(request: ModelRequest, *, text: str, reasoning: str = "", arguments: str = "") -> Usage:
    """The usage of a call whose provider reported none. `arguments` is the text of all tool calls."""
    thought = estimate_tokens(reasoning)
    return Usage(
        input_tokens=estimate_input(request),
        output_tokens=estimate_tokens(text) + estimate_tokens(arguments) + thought,
        reasoning_tokens=thought or None,
        provenance=Provenance.ESTIMATED,
    )
