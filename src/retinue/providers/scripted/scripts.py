"""What the scripted models say. A script is a pure function of the request."""

import re
from collections.abc import Iterator
from typing import Any

from retinue.domain.errors import ProviderOverloaded, ProviderReset
from retinue.domain.model_io import (
    AssistantTurn,
    Finished,
    FinishReason,
    ModelRequest,
    ProviderEvent,
    TextPiece,
    ToolTurn,
)
from retinue.providers.scripted.speech import call, last_user_text, say, think
from retinue.providers.scripted.words import pieces_of

_ROLE = re.compile(r"\bYou are (.{1,80}?)(?=[,.;:!?\n]|$)")
_GREETING = re.compile(r"^Greeting\b[^:\n]*: *(\S.*)$", re.MULTILINE)
_TONE = re.compile(r"^Tone: *(\S.*)$", re.MULTILINE)


def demo(request: ModelRequest) -> Iterator[ProviderEvent]:
    """A friendly answer in the employee's persona that says what it is."""
    yield from think(request)
    yield from say(_demo_text(request))
    yield Finished(FinishReason.STOP)


def echo(request: ModelRequest) -> Iterator[ProviderEvent]:
    """The last user message, character by character the same."""
    yield from think(request)
    yield from say(last_user_text(request))
    yield Finished(FinishReason.STOP)


def fail(_: ModelRequest) -> Iterator[ProviderEvent]:
    """An overloaded provider: refuses before the first piece."""
    raise ProviderOverloaded("The model scripted-fail is always overloaded.")


def cut(request: ModelRequest) -> Iterator[ProviderEvent]:
    """A connection that breaks in the middle of the demo's answer."""
    pieces = pieces_of(_demo_text(request))
    yield from map(TextPiece, pieces[: len(pieces) // 2])
    raise ProviderReset("The model scripted-cut always breaks off in the middle.")


def tools(request: ModelRequest) -> Iterator[ProviderEvent]:
    """Calls the first tool that is offered, with arguments made from its schema, then reports the result."""
    yield from think(request)
    last = request.turns[-1] if request.turns else None
    if isinstance(last, ToolTurn):
        for result in last.results:
            outcome = "failed with" if result.is_error else "answered"
            yield from say(f"The tool {result.name} {outcome}: {result.content}\n")
        yield Finished(FinishReason.STOP)
    elif request.tools:
        tool = request.tools[0]
        yield from call(request, [(tool.name, _example(tool.parameters))])
        yield Finished(FinishReason.TOOL_CALLS)
    else:
        yield from say("No tools were offered, so there is nothing to call.")
        yield Finished(FinishReason.STOP)


def _demo_text(request: ModelRequest) -> str:
    role = _ROLE.search(request.system)
    greeting = _GREETING.search(request.system)
    tone = _TONE.search(request.system)
    is_first = not any(isinstance(turn, AssistantTurn) for turn in request.turns)
    sentences = [
        greeting[1].strip() if greeting and is_first else "Hello!" if is_first else "I am still here.",
        f"I am {role[1].strip()}, played by Retinue's scripted offline provider: no model is asked."
        if role
        else "I am Retinue's scripted offline provider: no model is asked.",
        f"You wrote: “{last_user_text(request).strip()}”.",
        f"A real model would answer in this tone: {tone[1].strip()}." if tone else "",
        "Give this tenant a provider and a key, and the same request will be answered by a model.",
    ]
    return " ".join(sentence for sentence in sentences if sentence)


def _example(schema: dict[str, Any]) -> Any:
    """A value that a plain JSON Schema accepts: its own suggestion, else the simplest of its type."""
    for keyword in ("const", "default"):
        if keyword in schema:
            return schema[keyword]
    for keyword in ("examples", "enum"):
        if schema.get(keyword):
            return schema[keyword][0]
    kind = schema.get("type", "object" if "properties" in schema else "string")
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _example(properties.get(name, {})) for name in schema.get("required", ())}
    if kind == "array":
        return [_example(schema.get("items", {}))] * schema.get("minItems", 0)
    simplest = {"string": "example", "integer": 1, "number": 1.0, "boolean": True, "null": None}
    return simplest.get(kind, "example")
