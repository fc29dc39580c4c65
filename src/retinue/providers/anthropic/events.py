"""The events of a Messages stream. Only what the adapter reads is declared; unknown fields and types are skipped."""

from typing import Any

import msgspec

from retinue.domain.usage import Usage
from retinue.providers.counts import count


class Message(msgspec.Struct):
    usage: Any = None


class Block(msgspec.Struct):
    type: str = ""
    text: Any = None
    thinking: Any = None
    signature: Any = None
    data: Any = None
    id: Any = None
    name: Any = None
    input: Any = None


class Delta(msgspec.Struct):
    type: str = ""
    text: Any = None
    thinking: Any = None
    signature: Any = None
    partial_json: Any = None
    stop_reason: Any = None


class Event(msgspec.Struct):
    type: str = ""
    index: int = 0
    message: Message | None = None
    content_block: Block | None = None
    delta: Delta | None = None
    usage: Any = None
    error: Any = None


EVENTS = msgspec.json.Decoder(Event)


class UsageCounter:
    """Puts the usage of a message together: the counts are cumulative, and each event may leave some out."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def take(self, raw: object) -> Usage | None:
        """The usage so far, or null if the object adds nothing to it."""
        before = dict(self._counts)
        if isinstance(raw, dict):
            for key in ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens"):
                self._keep(key, raw.get(key))
            details = raw.get("output_tokens_details")
            if isinstance(details, dict):
                self._keep("thinking_tokens", details.get("thinking_tokens"))
        return self._usage() if self._counts != before else None

    def _keep(self, key: str, value: object) -> None:
        number = count(value)
        if number is not None:
            self._counts[key] = max(number, self._counts.get(key, 0))

    def _usage(self) -> Usage:
        counts = self._counts
        read, written = counts.get("cache_read_input_tokens"), counts.get("cache_creation_input_tokens")
        fresh = counts.get("input_tokens")
        return Usage(
            input_tokens=None if fresh is None else fresh + (read or 0) + (written or 0),
            cached_input_tokens=read,
            cache_write_tokens=written,
            output_tokens=counts.get("output_tokens"),
            reasoning_tokens=counts.get("thinking_tokens"),
        )
