"""Puts one model step together from its pieces."""

from typing import Any

from retinue.domain.model_io import (
    AssistantTurn,
    PartKind,
    ReasoningBlock,
    ReasoningEnded,
    Stretch,
    ToolCall,
    ToolCallEnded,
    ToolCallPiece,
    ToolCallStarted,
)

_TEXT = PartKind.TEXT
_USUAL = tuple(PartKind)


class StepAssembler:
    """Collects text, reasoning blocks and tool calls, and remembers how they followed each other; a call has its place
    where it began, a reasoning block where it ended.
    """

    __slots__ = ("_blocks", "_calls", "_order", "_producer", "_reasoning", "_text")

    def __init__(self) -> None:
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._blocks: list[ReasoningBlock] = []
        self._calls: dict[str, _Call] = {}
        self._order: list[tuple[PartKind, int]] = []
        self._producer: str | None = None

    def add_text(self, piece: str) -> None:
        self._text.append(piece)
        self._follow(_TEXT, len(piece))

    def add_reasoning(self, piece: str) -> None:
        self._reasoning.append(piece)

    def end_reasoning(self, end: ReasoningEnded) -> None:
        block = ReasoningBlock(text="".join(self._reasoning), signature=end.signature, redacted=end.redacted)
        self._reasoning.clear()
        self._blocks.append(block)
        self._follow(PartKind.REASONING)
        self._producer = end.producer or self._producer

    def start_call(self, start: ToolCallStarted) -> None:
        self._calls[start.id] = _Call(start.name)
        self._follow(PartKind.TOOL_CALL)

    def add_arguments(self, piece: ToolCallPiece) -> None:
        self._calls[piece.id].fragments.append(piece.fragment)

    def end_call(self, end: ToolCallEnded) -> ToolCall:
        """Close a call and return it complete."""
        call = self._calls[end.id]
        call.extra = end.extra
        self._producer = end.producer or self._producer
        return call.complete(end.id)

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def reasoning(self) -> str:
        return "".join([*(block.text for block in self._blocks), *self._reasoning])

    @property
    def arguments(self) -> str:
        """The arguments of all calls, as far as they came."""
        return "".join(fragment for call in self._calls.values() for fragment in call.fragments)

    def turn(self) -> AssistantTurn:
        """The step as it goes back to the model."""
        if self._reasoning:
            self.end_reasoning(ReasoningEnded())
        return AssistantTurn(
            text=self.text,
            reasoning=tuple(self._blocks),
            tool_calls=tuple(call.complete(call_id) for call_id, call in self._calls.items()),
            order=self._unusual_order(),
            producer=self._producer,
        )

    def _follow(self, kind: PartKind, length: int = 1) -> None:
        if self._order and self._order[-1][0] is kind:
            length += self._order.pop()[1]
        self._order.append((kind, length))

    def _unusual_order(self) -> tuple[Stretch, ...]:
        places = [_USUAL.index(kind) for kind, _ in self._order]
        return () if places == sorted(places) else tuple(Stretch(kind, length) for kind, length in self._order)


class _Call:
    def __init__(self, name: str) -> None:
        self.name = name
        self.fragments: list[str] = []
        self.extra: dict[str, Any] = {}

    def complete(self, call_id: str) -> ToolCall:
        return ToolCall(id=call_id, name=self.name, arguments="".join(self.fragments), extra=self.extra)
