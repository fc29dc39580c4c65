"""What a dialect makes of a scenario: frames ready for the wire, and what happens between them."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from tests.support.upstream.scenario import (
    AnyPiece,
    Chunk,
    Comment,
    Cut,
    Hold,
    Pause,
    Ping,
    Raw,
    Reasoning,
    Refusal,
    Scenario,
    Stall,
    Text,
    Tokens,
    Tool,
)


class Frame(NamedTuple):
    data: bytes
    paced: bool = False
    """The scenario's delays before the first token and between tokens apply to it."""


Step = Frame | Pause | Hold | Stall | Cut

PACED = (Text, Reasoning, Tool, Refusal)


class Ask(NamedTuple):
    """What an answer depends on in a request."""

    model: str = "echo"
    stream: bool = True
    include_usage: bool = False
    words: int = 0
    last_user: str = ""
    answers: int = 0
    """Turns of the model since the user last said something."""


def read_ask(body: Any) -> Ask:
    """The same for both dialects; whatever is missing or malformed takes its default."""
    if not isinstance(body, dict):
        return Ask()
    options = body.get("stream_options")
    texts = [_text_of(body.get("system")), *(_text_of(m.get("content")) for m in _messages(body))]
    # Anthropic's tool results come in the user's name, too, and have no text.
    users = [text for m in _messages(body) if m.get("role") == "user" and (text := _text_of(m.get("content")))]
    return Ask(
        model=str(body.get("model", "echo")),
        stream=body.get("stream") is True,
        include_usage=isinstance(options, dict) and options.get("include_usage") is True,
        words=sum(len(text.split()) for text in texts),
        last_user=users[-1] if users else "",
        answers=_answers(_messages(body)),
    )


def _answers(messages: list[dict[str, Any]]) -> int:
    count = 0
    for message in reversed(messages):
        if message.get("role") == "user" and _text_of(message.get("content")):
            break
        count += message.get("role") == "assistant"
    return count


def _messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    messages = body.get("messages")
    return [m for m in messages if isinstance(m, dict)] if isinstance(messages, list) else []


def _text_of(content: object) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def count_tokens(scenario: Scenario, ask: Ask) -> Tokens | None:
    """The usage that the scenario reports; None if it reports none."""
    if scenario.usage != "auto":
        return scenario.usage
    reasoning = sum(isinstance(piece, Reasoning) for piece in scenario.pieces)
    spoken = sum(isinstance(piece, PACED) for piece in scenario.pieces)
    return Tokens(ask.words, spoken, reasoning=reasoning or None)


def has_tools(pieces: Iterable[AnyPiece]) -> bool:
    return any(isinstance(piece, Tool) for piece in pieces)


def frame(body: object, newline: str, event: str | None = None, *, paced: bool = False) -> Frame:
    """One server-sent event with one line of JSON."""
    head = f"event: {event}{newline}" if event else ""
    return Frame(f"{head}data: ".encode() + msgspec.json.encode(body) + (newline * 2).encode(), paced)


def aside(piece: Raw | Comment | Ping | Chunk, newline: str) -> Frame:
    """A piece that looks the same in every dialect."""
    match piece:
        case Raw():
            return Frame(piece.data or piece.text.encode())
        case Chunk():
            return frame(piece.body, newline, piece.event)
        case Comment():
            return Frame(f": {piece.text}{newline * 2}".encode())
        case Ping():
            return Frame(f": ping{newline * 2}".encode())


def arguments_text(arguments: str | dict[str, Any]) -> str:
    return arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
