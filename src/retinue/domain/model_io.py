"""What goes to a model and what comes back, in no vendor's form."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import msgspec

from retinue.domain.policy import ReasoningEffort
from retinue.domain.usage import Usage


class ReasoningBlock(msgspec.Struct, frozen=True, kw_only=True):
    """Reasoning as the provider gave it. `signature` and `redacted` go back to the same provider unchanged."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


class ToolCall(msgspec.Struct, frozen=True, kw_only=True):
    """A model's wish to call a tool. `arguments` is the raw JSON text, which may be broken."""

    id: str
    name: str
    arguments: str
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    """Vendor fields of the call that must be sent back with it (thought signatures)."""


class ToolResult(msgspec.Struct, frozen=True, kw_only=True):
    call_id: str
    name: str
    content: str
    is_error: bool = False


class UserTurn(msgspec.Struct, frozen=True, tag="user"):
    content: str


class PartKind(StrEnum):
    """What an assistant's turn is made of, in the usual order."""

    REASONING = "reasoning"
    TEXT = "text"
    TOOL_CALL = "tool_call"


class Stretch(msgspec.Struct, frozen=True, array_like=True):
    """A piece of an assistant's turn that is of one kind."""

    kind: PartKind
    length: int
    """In characters of the text, or in reasoning blocks or tool calls."""


TurnPart = str | ReasoningBlock | ToolCall


class AssistantTurn(msgspec.Struct, frozen=True, kw_only=True, tag="assistant"):
    text: str = ""
    reasoning: tuple[ReasoningBlock, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    order: tuple[Stretch, ...] = ()
    """How text, reasoning and calls follow each other. What it does not mention comes after it, in the usual order."""
    producer: str | None = None
    """Whose turn it is, see `providers.earlier_turns`: nobody else understands its signatures and the calls' extra
    fields. Null where nobody said so."""

    def parts(self) -> Iterator[TurnPart]:
        """Everything in its order; the text in as many parts as something else stands between."""
        wholes: dict[PartKind, str | tuple[ReasoningBlock, ...] | tuple[ToolCall, ...]] = {
            PartKind.REASONING: self.reasoning,
            PartKind.TEXT: self.text,
            PartKind.TOOL_CALL: self.tool_calls,
        }
        places = dict.fromkeys(wholes, 0)
        rest = [Stretch(kind, len(whole)) for kind, whole in wholes.items()]
        for stretch in (*self.order, *rest):
            start = places[stretch.kind]
            end = places[stretch.kind] = start + stretch.length
            part = wholes[stretch.kind][start:end]
            if not isinstance(part, str):
                yield from part
            elif part:
                yield part


class ToolTurn(msgspec.Struct, frozen=True, tag="tool"):
    """All results of one assistant turn, in the order of its calls."""

    results: tuple[ToolResult, ...]


Turn = UserTurn | AssistantTurn | ToolTurn


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    description: str
    parameters: dict[str, Any]
    """JSON Schema of the arguments object."""


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One model call."""

    model: str
    system: str
    turns: tuple[Turn, ...]
    tools: tuple[ToolSpec, ...] = ()
    max_output_tokens: int
    temperature: float | None = None
    reasoning: ReasoningEffort | None = None

    @property
    def call_ids(self) -> list[str]:
        """Ids of the tool calls in its turns; a new call must not have one of them again."""
        return [call.id for turn in self.turns if isinstance(turn, AssistantTurn) for call in turn.tool_calls]


class FinishReason(StrEnum):
    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"
    REFUSAL = "refusal"


class TextPiece(msgspec.Struct, frozen=True, gc=False):
    text: str


class ReasoningPiece(msgspec.Struct, frozen=True, gc=False):
    text: str


class ReasoningEnded(msgspec.Struct, frozen=True, kw_only=True):
    """Closes the reasoning block that the pieces since the last end make up."""

    signature: str | None = None
    redacted: str | None = None
    producer: str | None = None
    """Who understands them, see `AssistantTurn.producer`."""


class ToolCallStarted(msgspec.Struct, frozen=True, kw_only=True):
    """A call begins. `id` is unique within the stream: an adapter makes one up where the vendor sent none."""

    id: str
    name: str


class ToolCallPiece(msgspec.Struct, frozen=True, kw_only=True):
    """A fragment of the arguments' JSON text. Fragments of several calls may interleave."""

    id: str
    fragment: str


class ToolCallEnded(msgspec.Struct, frozen=True, kw_only=True):
    id: str
    extra: dict[str, Any] = msgspec.field(default_factory=dict)
    producer: str | None = None
    """Who understands them, see `AssistantTurn.producer`."""


class UsageReported(msgspec.Struct, frozen=True):
    """The call's usage so far. Cumulative: the last one counts."""

    usage: Usage


class Finished(msgspec.Struct, frozen=True):
    """The positive fact of completion. Always the last event; a stream without it is truncated."""

    reason: FinishReason


ProviderEvent = (
    TextPiece
    | ReasoningPiece
    | ReasoningEnded
    | ToolCallStarted
    | ToolCallPiece
    | ToolCallEnded
    | UsageReported
    | Finished
)


class Capabilities(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider can do with the configuration at hand."""

    streams_reasoning: bool
    calls_tools: bool
    reports_usage: bool
    takes_temperature: bool = True
    """False where the vendor has no such setting any more: a request that carries one is refused."""
    is_scripted: bool = False
    """True only for the deterministic offline provider."""
