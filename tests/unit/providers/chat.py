"""Chunks of Chat Completions, and what is made of them."""

from typing import Any

import msgspec

from retinue.domain.model_io import ProviderEvent, ToolCallPiece, ToolCallStarted
from retinue.providers.openai.decoder import ChatDecoder


def read(*chunks: Any, decoder: ChatDecoder | None = None) -> list[ProviderEvent]:
    """The events of chunks, given as JSON values or as bytes."""
    decoder = decoder or ChatDecoder()
    events: list[ProviderEvent] = []
    for chunk in chunks:
        events += decoder.take((b"", chunk if isinstance(chunk, bytes) else msgspec.json.encode(chunk)))
    return events + list(decoder.end())


def delta(finish: Any = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish}]}


def call(**fields: Any) -> dict[str, Any]:
    """A chunk with one fragment; `name` and `arguments` go into its function."""
    function = {key: fields.pop(key) for key in ("name", "arguments") if key in fields}
    return delta(tool_calls=[fields | {"function": function}])


def calls_of(events: list[ProviderEvent]) -> list[tuple[str, str]]:
    """Name and arguments of the calls."""
    started = [event for event in events if isinstance(event, ToolCallStarted)]
    assert len({event.id for event in started}) == len(started)
    return [
        (
            one.name,
            "".join(event.fragment for event in events if isinstance(event, ToolCallPiece) and event.id == one.id),
        )
        for one in started
    ]


def message(finish: Any = None, **fields: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "message": fields, "finish_reason": finish}]}
