"""From Messages events to provider events."""

from collections.abc import Iterable, Iterator

from retinue.domain.ids import new_id
from retinue.domain.model_io import (
    FinishReason,
    ProviderEvent,
    ReasoningEnded,
    ReasoningPiece,
    TextPiece,
    ToolCallEnded,
    ToolCallPiece,
    ToolCallStarted,
    UsageReported,
)
from retinue.domain.text import clean
from retinue.providers.anthropic.events import EVENTS, Block, Delta, Event, UsageCounter
from retinue.providers.failures import from_error_object
from retinue.providers.json_text import TextJoiner, decode, error_in, opaque, text_of
from retinue.providers.sse import SseEvent

_REASONS = {
    "max_tokens": FinishReason.LENGTH,
    "model_context_window_exceeded": FinishReason.LENGTH,
    "tool_use": FinishReason.TOOL_CALLS,
    "refusal": FinishReason.REFUSAL,
}
"""Everything else that is not empty is a stop."""


class _OpenBlock:
    def __init__(self, block: Block, call_id: str) -> None:
        self.kind = block.type
        self.signature = block.signature if isinstance(block.signature, str) else ""
        self.call_id = call_id
        self.input = block.input if isinstance(block.input, dict) else {}
        self.has_arguments = False
        self.joiner = TextJoiner()


class MessagesDecoder:
    """Reads one answer, block by block."""

    def __init__(self, taken_ids: Iterable[str] = (), producer: str | None = None) -> None:
        """
        Args:
            producer: who answers; stands on what nobody else understands.
        """
        self._producer = producer
        self.finish: FinishReason | None = None
        self.is_over = False
        self._taken = set(taken_ids)
        self._blocks: dict[int, _OpenBlock] = {}
        self._usage = UsageCounter()
        self._has_calls = False

    def take(self, event: SseEvent) -> Iterator[ProviderEvent]:
        """Read one event. Unknown kinds of events, blocks and deltas are passed over, as the vendor asks clients to."""
        name, data = event
        if not data.strip() or data.strip() == b"[DONE]":
            return
        if name == b"error":
            raise from_error_object(error_in(data))
        read = decode(data, EVENTS)
        kind = read.type or name.decode("ascii", "replace")
        if kind == "error" or read.error is not None:
            raise from_error_object(read.error)
        if kind == "message_stop":
            self.is_over = True
        elif kind == "message_start":
            yield from self._report(read.message.usage if read.message is not None else None)
        elif kind == "message_delta":
            yield from self._message_delta(read)
        else:
            yield from self._content(kind, read)

    def end(self) -> Iterator[ProviderEvent]:
        for index in list(self._blocks):
            yield from self._close(index)
        if self._has_calls and self.finish is FinishReason.STOP:
            self.finish = FinishReason.TOOL_CALLS
        elif not self._has_calls and self.finish is FinishReason.TOOL_CALLS:
            self.finish = FinishReason.STOP

    def _content(self, kind: str, event: Event) -> Iterator[ProviderEvent]:
        match kind:
            case "content_block_delta" if event.delta is not None:
                yield from self._delta(event.index, event.delta)
            case "content_block_start" if event.content_block is not None:
                yield from self._open(event.index, event.content_block)
            case "content_block_stop":
                yield from self._close(event.index)

    def _message_delta(self, event: Event) -> Iterator[ProviderEvent]:
        yield from self._report(event.usage)
        reason = event.delta.stop_reason if event.delta is not None else None
        if isinstance(reason, str) and reason:
            self.finish = _REASONS.get(reason, FinishReason.STOP)

    def _open(self, index: int, block: Block) -> Iterator[ProviderEvent]:
        yield from self._close(index)
        if block.type == "redacted_thinking":
            redacted = opaque(block.data)
            if redacted is not None:
                yield ReasoningEnded(redacted=redacted, producer=self._producer)
            return
        opened = self._blocks[index] = _OpenBlock(block, self._call_id(block))
        if block.type == "tool_use":
            self._has_calls = True
            yield ToolCallStarted(id=opened.call_id, name=_word(block.name))
        elif block.type == "text" and isinstance(block.text, str):
            yield from self._text(opened, block.text)
        elif block.type == "thinking" and isinstance(block.thinking, str):
            yield from self._thinking(opened, block.thinking)

    def _delta(self, index: int, delta: Delta) -> Iterator[ProviderEvent]:
        block = self._blocks.get(index)
        if block is None:
            kind = {"text_delta": "text", "thinking_delta": "thinking"}.get(delta.type)
            if kind is None:
                return
            block = self._blocks[index] = _OpenBlock(Block(type=kind), "")
        if isinstance(delta.text, str) and block.kind == "text":
            yield from self._text(block, delta.text)
        elif isinstance(delta.thinking, str) and block.kind == "thinking":
            yield from self._thinking(block, delta.thinking)
        elif isinstance(delta.signature, str) and block.kind == "thinking":
            block.signature += delta.signature
        elif isinstance(delta.partial_json, str) and block.kind == "tool_use":
            yield from self._arguments(block, block.joiner.push(delta.partial_json))

    def _close(self, index: int) -> Iterator[ProviderEvent]:
        block = self._blocks.pop(index, None)
        if block is None:
            return
        rest = block.joiner.flush()
        if block.kind == "text" and rest:
            yield TextPiece(rest)
        elif block.kind == "thinking":
            if rest:
                yield ReasoningPiece(rest)
            yield ReasoningEnded(signature=opaque(block.signature), producer=self._producer)
        elif block.kind == "tool_use":
            yield from self._arguments(block, rest)
            if block.input and not block.has_arguments:  # some servers send the whole input at the block's start
                yield ToolCallPiece(id=block.call_id, fragment=text_of(block.input))
            yield ToolCallEnded(id=block.call_id, producer=self._producer)

    def _text(self, block: _OpenBlock, text: str) -> Iterator[ProviderEvent]:
        if text := block.joiner.push(text):
            yield TextPiece(text)

    def _thinking(self, block: _OpenBlock, text: str) -> Iterator[ProviderEvent]:
        if text := block.joiner.push(text):
            yield ReasoningPiece(text)

    def _arguments(self, block: _OpenBlock, fragment: str) -> Iterator[ProviderEvent]:
        if fragment:
            block.has_arguments = True
            yield ToolCallPiece(id=block.call_id, fragment=fragment)

    def _report(self, raw: object) -> Iterator[ProviderEvent]:
        usage = self._usage.take(raw)
        if usage is not None:
            yield UsageReported(usage)

    def _call_id(self, block: Block) -> str:
        if block.type != "tool_use":
            return ""
        own = _word(block.id)
        if not own or own in self._taken:
            own = f"toolu_{new_id().hex}"
        self._taken.add(own)
        return own


def _word(value: object) -> str:
    return clean(value) if isinstance(value, str) else ""
