"""The body of a Chat Completions request. Carries only what the request sets."""

import re
from typing import Any

import msgspec

from retinue.domain.errors import ProviderRefused
from retinue.domain.model_io import AssistantTurn, ModelRequest, ToolCall, ToolSpec, ToolTurn, Turn, UserTurn
from retinue.domain.policy import ReasoningEffort
from retinue.providers.earlier_turns import ID_LENGTH, turns_for
from retinue.providers.json_text import arguments_to_send

_EFFORT: dict[ReasoningEffort, str] = {
    "off": "none",
    "on": "medium",
    "low": "low",
    "medium": "medium",
    "high": "high",
}
_RESERVED = frozenset({"id", "type", "function"})
_IDS = re.compile(rf".{{1,{ID_LENGTH}}}", re.DOTALL)


class Dialect(msgspec.Struct, frozen=True, kw_only=True):
    """What a server understands; see `ProviderOptions`."""

    max_tokens_field: str = "max_tokens"
    include_usage: bool = True
    echo_reasoning: bool = False
    echo_reasoning_of_calls: bool = False
    """Only turns that called tools get their reasoning back: without it DeepSeek refuses the request, and it refuses
    the reasoning of other turns."""
    system_role: str = "system"
    producer: str | None = None
    """Who the server is, so that it gets the calls' extra fields back that it gave."""


def build_body(request: ModelRequest, dialect: Dialect) -> dict[str, Any]:
    """The request as a JSON object."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": _messages(request, dialect),
        "stream": True,
        dialect.max_tokens_field: request.max_output_tokens,
    }
    if dialect.include_usage:
        body["stream_options"] = {"include_usage": True}
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.reasoning is not None:
        body["reasoning_effort"] = _EFFORT[request.reasoning]
    return body


def _messages(request: ModelRequest, dialect: Dialect) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": dialect.system_role, "content": request.system})
    for turn in turns_for(dialect.producer, request.turns, fit_ids=_IDS):
        messages += _turn(turn, dialect)
    if not messages:
        raise ProviderRefused("There is nothing to ask the model.")
    return messages


def _turn(turn: Turn, dialect: Dialect) -> list[dict[str, Any]]:
    match turn:
        case UserTurn():
            return [{"role": "user", "content": turn.content}]
        case AssistantTurn():
            # Many servers refuse an answer without content, and reasoning alone tells the model nothing.
            return [_assistant(turn, dialect)] if turn.text or turn.tool_calls else []
        case ToolTurn():
            return [
                {"role": "tool", "tool_call_id": result.call_id, "content": result.content} for result in turn.results
            ]


def _assistant(turn: AssistantTurn, dialect: Dialect) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": turn.text}
    if turn.tool_calls:
        message["content"] = turn.text or None
        message["tool_calls"] = [_call(call) for call in turn.tool_calls]
    if dialect.echo_reasoning or (dialect.echo_reasoning_of_calls and turn.tool_calls):
        reasoning = "".join(block.text for block in turn.reasoning)
        if reasoning:
            message["reasoning_content"] = reasoning
    return message


def _call(call: ToolCall) -> dict[str, Any]:
    arguments = msgspec.json.encode(arguments_to_send(call.arguments)).decode()
    extra = {key: value for key, value in call.extra.items() if key not in _RESERVED}
    return {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": arguments}, **extra}


def _tool(tool: ToolSpec) -> dict[str, Any]:
    return {
        "type": "function",
        "function": {"name": tool.name, "description": tool.description, "parameters": tool.parameters},
    }
