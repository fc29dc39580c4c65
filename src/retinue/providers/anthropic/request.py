"""The body of a Messages request. Carries only what the request sets."""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from retinue.domain.errors import ProviderRefused
from retinue.domain.model_io import (
    AssistantTurn,
    ModelRequest,
    ReasoningBlock,
    ToolCall,
    ToolResult,
    ToolSpec,
    ToolTurn,
    Turn,
    TurnPart,
    UserTurn,
)
from retinue.domain.policy import ReasoningEffort
from retinue.providers.earlier_turns import turns_for
from retinue.providers.json_text import arguments_to_send

MIN_BUDGET = 1024
_SHARES: dict[ReasoningEffort, float] = {"on": 0.5, "low": 0.2, "medium": 0.5, "high": 0.8}
"""Part of the output limit that may go into thinking, for models that take a budget."""
_TAKES_BUDGET = re.compile(r"claude-(3-7|(opus|sonnet)-4-([015]|2025)|haiku-4-5)")
"""Models older than adaptive thinking. Later ones refuse a budget, so an unknown Claude is taken for a later one."""
_IDS = re.compile(r"[a-zA-Z0-9_-]+")
_THINKING = ("thinking", "redacted_thinking")
_Blocks = list[dict[str, Any]]


class MessagesDialect(msgspec.Struct, frozen=True, kw_only=True):
    """What a server understands."""

    takes_temperature: bool = False
    """False for Anthropic: the API version that the SDK speaks refuses the field."""
    producer: str | None = None
    """Who the server is, so that it gets the signatures back that it gave."""


def build_body(request: ModelRequest, dialect: MessagesDialect) -> dict[str, Any]:
    """The request as a JSON object.

    Raises:
        ProviderRefused: it sets a temperature that the server does not take, or a reasoning budget that does not fit.
    """
    turns = tuple(turns_for(dialect.producer, request.turns, fit_ids=_IDS))
    body: dict[str, Any] = {
        "model": request.model,
        "messages": _messages(turns),
        "max_tokens": request.max_output_tokens,
        "stream": True,
    }
    if request.system:
        body["system"] = request.system
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.temperature is not None:
        if not dialect.takes_temperature:
            raise ProviderRefused("Anthropic takes no temperature any more: leave it unset.")
        body["temperature"] = request.temperature
    if request.reasoning is not None:
        reasoning = _reasoning(request.model, request.reasoning, request.max_output_tokens)
        if not (_sets_budget(reasoning) and _began_without_thinking(turns, dialect.producer)):
            body |= reasoning
    return body


def _reasoning(model: str, effort: ReasoningEffort, limit: int) -> dict[str, Any]:
    if effort == "off":
        return {"thinking": {"type": "disabled"}}
    if "claude-" in model and not _TAKES_BUDGET.search(model):
        adaptive: dict[str, Any] = {"thinking": {"type": "adaptive"}}
        return adaptive if effort == "on" else adaptive | {"output_config": {"effort": effort}}
    if limit <= MIN_BUDGET:
        raise ProviderRefused(f"Reasoning needs max_output_tokens above {MIN_BUDGET} with this model.")
    return {"thinking": {"type": "enabled", "budget_tokens": max(MIN_BUDGET, int(limit * _SHARES[effort]))}}


def _sets_budget(reasoning: dict[str, Any]) -> bool:
    return bool(reasoning["thinking"]["type"] == "enabled")


def _began_without_thinking(turns: Sequence[Turn], producer: str | None) -> bool:
    """Whether an answer that goes on after its calls has no thinking to begin with, which is refused with a budget.

    Thinking that the server itself gave unsigned counts: it cannot be sent back, and who does not sign does not ask.
    """
    last = next((turn for turn in reversed(turns) if isinstance(turn, AssistantTurn)), None)
    if last is None or not last.tool_calls:
        return False
    first = next(part for part in last.parts() if not isinstance(part, str) or part.strip())
    if not isinstance(first, ReasoningBlock):
        return True
    is_own = last.producer is not None and last.producer == producer
    return not (is_own or _thinking(first))


def _messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """The turns as messages. Empty ones are left out, because the API refuses empty blocks."""
    messages: list[dict[str, Any]] = []
    for turn in turns:
        role, blocks = _turn(turn)
        if blocks:
            messages.append({"role": role, "content": blocks})
    if not messages:
        raise ProviderRefused("There is nothing to ask the model.")
    return messages


def _turn(turn: Turn) -> tuple[str, _Blocks]:
    match turn:
        case UserTurn():
            return "user", _text(turn.content)
        case AssistantTurn():
            return "assistant", _answer(turn)
        case ToolTurn():
            return "user", [_result(result) for result in turn.results]


def _answer(turn: AssistantTurn) -> _Blocks:
    """The blocks in the order in which they came. The API refuses an answer that ends in thinking, so what nothing
    followed is left out.
    """
    blocks = [block for part in turn.parts() for block in _part(part)]
    while blocks and blocks[-1]["type"] in _THINKING:
        blocks.pop()
    return blocks


def _part(part: TurnPart) -> _Blocks:
    match part:
        case ReasoningBlock():
            return _thinking(part)
        case ToolCall():
            return [_call(part)]
        case str():
            return _text(part)


def _text(text: str) -> _Blocks:
    return [{"type": "text", "text": text}] if text.strip() else []


def _thinking(block: ReasoningBlock) -> _Blocks:
    """Thinking without its signature would be refused; it came from another provider or was cut off."""
    if block.redacted is not None:
        return [{"type": "redacted_thinking", "data": block.redacted}]
    if block.signature is None:
        return []
    return [{"type": "thinking", "thinking": block.text, "signature": block.signature}]


def _call(call: ToolCall) -> dict[str, Any]:
    return {"type": "tool_use", "id": call.id, "name": call.name, "input": arguments_to_send(call.arguments)}


def _result(result: ToolResult) -> dict[str, Any]:
    block: dict[str, Any] = {"type": "tool_result", "tool_use_id": result.call_id, "content": result.content}
    if result.is_error:
        block["is_error"] = True
    return block


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
