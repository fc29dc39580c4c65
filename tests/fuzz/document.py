"""The API's description, in the words of the tool that makes requests from it."""

import copy
from typing import Any

import msgspec

from tests.e2e.contract.wire import fetch

STREAM = "text/event-stream"


def described(address: str) -> dict[str, Any]:
    """What the server that runs there says about itself."""
    answer = fetch(address, "GET", "/openapi.json")
    assert answer.status == 200, answer
    document: dict[str, Any] = msgspec.json.decode(answer.body)
    return document


def with_envelopes(document: dict[str, Any]) -> dict[str, Any]:
    """Streams are described by their frames; the tool looks at a whole event, whose data is such a frame."""
    changed = copy.deepcopy(document)
    for operation in (operation for path in changed["paths"].values() for operation in path.values()):
        for answer in operation["responses"].values():
            if stream := answer.get("content", {}).get(STREAM):
                stream["schema"] = _event(stream["schema"])
    return changed


def _event(frame: dict[str, Any]) -> dict[str, Any]:
    data = {"type": "string", "contentMediaType": "application/json", "contentSchema": frame}
    return {
        "type": "object",
        "required": ["event", "data"],
        "properties": {"id": {"type": "string"}, "event": {"type": "string"}, "data": data},
    }
