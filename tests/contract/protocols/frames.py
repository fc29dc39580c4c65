"""What a strict reader makes of a stream's bytes."""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec

from retinue.domain.events import RecordedEvent
from retinue.protocols.base import Protocol
from retinue.protocols.events import EventsProtocol
from retinue.protocols.messages import MessagesProtocol

PROTOCOLS: tuple[Protocol, ...] = (MessagesProtocol(), EventsProtocol())

_FRAME = re.compile(rb"(?:id: ([^\r\n]+)\n)?event: ([a-z_.]+)\ndata: (\{[^\r\n]*\})\n\n")


class Frame(NamedTuple):
    id: str | None
    event: str
    data: dict[str, Any]
    raw: bytes


def encoded(protocol: Protocol, events: Iterable[RecordedEvent]) -> bytes:
    return b"".join(map(protocol.encoder(), events))


def frames(stream: bytes) -> list[Frame]:
    """Split a stream that is nothing but frames in exactly one form: `id`, `event`, one `data` line, a blank line."""
    found, position = [], 0
    while position < len(stream):
        match = _FRAME.match(stream, position)
        assert match is not None, stream[position : position + 200]
        event_id, event, data = match.groups()
        found.append(Frame(event_id.decode() if event_id else None, event.decode(), msgspec.json.decode(data), data))
        position = match.end()
    return found
