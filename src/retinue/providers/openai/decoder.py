"""From Chat Completions chunks to provider events."""

from collections.abc import Iterable, Iterator
from typing import Any

from retinue.domain.model_io import (
    FinishReason,
    ProviderEvent,
    ReasoningEnded,
    ReasoningPiece,
    TextPiece,
    UsageReported,
)
from retinue.domain.usage import Usage
from retinue.providers.failures import from_error_object
from retinue.providers.json_text import TextJoiner, decode, error_in
from retinue.providers.openai.chunks import CHUNKS, Choice, Chunk, Delta, usage_of
from retinue.providers.openai.tool_calls import ToolCallAssembler
from retinue.providers.sse import SseEvent

_REASONS = {
    "length": FinishReason.LENGTH,
    "max_tokens": FinishReason.LENGTH,
    "model_length": FinishReason.LENGTH,
    "content_filter": FinishReason.CONTENT_FILTER,
    "refusal": FinishReason.REFUSAL,
}
"""Everything else that is not empty is a stop; whether tools are to run is decided by the calls that came."""


class ChatDecoder:
    """Reads one answer. Keeps to the vendor's order: reasoning, text, calls, and usage whenever it comes."""

    __slots__ = (
        "_calls",
        "_came_in_deltas",
        "_has_refused",
        "_is_reasoning",
        "_reasoning",
        "_text",
        "_usage",
        "finish",
        "is_over",
    )

    def __init__(self, taken_ids: Iterable[str] = (), producer: str | None = None) -> None:
        """
        Args:
            producer: who answers; stands on what nobody else understands.
        """
        self.finish: FinishReason | None = None
        self.is_over = False
        self._calls = ToolCallAssembler(taken_ids, producer)
        self._came_in_deltas = False
        self._text = TextJoiner()
        self._reasoning = TextJoiner()
        self._is_reasoning = False
        self._has_refused = False
        self._usage: Usage | None = None

    def take(self, event: SseEvent) -> Iterable[ProviderEvent]:
        name, data = event
        if not name and data[:1] == b"{":
            chunk = decode(data, CHUNKS)
            if not self._is_reasoning and (text := chunk.plain_text) is not None:
                self._came_in_deltas = True
                return (TextPiece(text),) if (text := self._text.push(text)) else ()
            return self._chunk(chunk)
        return self._unusual(name, data)

    def _unusual(self, name: bytes, data: bytes) -> Iterator[ProviderEvent]:
        data = data.strip()
        if data == b"[DONE]":
            self.is_over = True
        elif data and name == b"error":
            raise from_error_object(error_in(data))
        elif data:
            yield from self._chunk(decode(data, CHUNKS))

    def _chunk(self, chunk: Chunk) -> Iterator[ProviderEvent]:
        if chunk.error is not None or chunk.is_bare_error:
            raise from_error_object(_error_of(chunk))
        if chunk.choices:
            yield from self._choice(chunk.choices[0])
        if chunk.usage is not None:
            yield from self._report(chunk.usage)

    def end(self) -> Iterator[ProviderEvent]:
        yield from self._end_reasoning()
        rest = self._text.flush()
        if rest:
            yield TextPiece(rest)
        yield from self._calls.end()
        if self.finish is FinishReason.STOP:
            if self._has_refused:
                self.finish = FinishReason.REFUSAL
            elif not self._calls.is_empty:
                self.finish = FinishReason.TOOL_CALLS

    def _choice(self, choice: Choice) -> Iterator[ProviderEvent]:
        if choice.delta is not None:
            self._came_in_deltas = self._came_in_deltas or choice.delta.is_telling
            yield from self._delta(choice.delta)
        elif choice.message is not None and not self._came_in_deltas:
            yield from self._delta(choice.message)
        reason = choice.finish_reason
        if reason == "error":
            raise from_error_object(None)
        if isinstance(reason, str) and reason:
            self.finish = _REASONS.get(reason.lower(), FinishReason.STOP)

    def _delta(self, delta: Delta) -> Iterator[ProviderEvent]:
        content = delta.content
        reasoning = delta.reasoning_content or delta.reasoning
        if isinstance(content, list):
            content, thought = _split(content)
            reasoning = reasoning or thought
        if isinstance(reasoning, str) and (reasoning := self._reasoning.push(reasoning)):
            self._is_reasoning = True
            yield ReasoningPiece(reasoning)
        if isinstance(content, str) and content and (content := self._text.push(content)):
            yield from self._end_reasoning()
            yield TextPiece(content)
        if isinstance(delta.refusal, str) and (refusal := self._text.push(delta.refusal)):
            self._has_refused = True
            yield from self._end_reasoning()
            yield TextPiece(refusal)
        if calls := delta.calls:
            yield from self._end_reasoning()
            for fragment in calls:
                yield from self._calls.take(fragment)

    def _end_reasoning(self) -> Iterator[ProviderEvent]:
        if self._is_reasoning:
            self._is_reasoning = False
            rest = self._reasoning.flush()
            if rest:
                yield ReasoningPiece(rest)
            yield ReasoningEnded()

    def _report(self, raw: object) -> Iterator[ProviderEvent]:
        usage = usage_of(raw)
        if usage is not None and usage != self._usage:
            self._usage = usage
            yield UsageReported(usage)


def _error_of(chunk: Chunk) -> object:
    return chunk.error if chunk.error is not None else {"code": chunk.code, "type": chunk.type}


def _split(parts: list[Any]) -> tuple[str, str]:
    """Text and thinking of a content that is a list of parts."""
    text, thought = "", ""
    for part in parts:
        if not isinstance(part, dict):
            continue
        if isinstance(part.get("text"), str):
            text += part["text"]
        elif isinstance(part.get("thinking"), list):
            thought += _split(part["thinking"])[0]
    return text, thought
