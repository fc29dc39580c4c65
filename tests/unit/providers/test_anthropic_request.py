"""Anthropic Messages: requests."""

from typing import Any

import msgspec
import pytest

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
    UserTurn,
)
from retinue.domain.policy import ReasoningEffort
from retinue.providers.anthropic.request import MessagesDialect, build_body


def request(*turns: Turn, **fields: Any) -> ModelRequest:
    base = ModelRequest(model="claude-x", system="s", turns=turns, max_output_tokens=4000)
    return msgspec.structs.replace(base, **fields)


def messages(*turns: Turn) -> list[dict[str, Any]]:
    found = build_body(request(*turns), MessagesDialect())["messages"]
    assert isinstance(found, list)
    return found


def text(value: str) -> dict[str, str]:
    return {"type": "text", "text": value}


def test_a_plain_request() -> None:
    assert build_body(request(UserTurn("hi")), MessagesDialect()) == {
        "model": "claude-x",
        "system": "s",
        "messages": [{"role": "user", "content": [text("hi")]}],
        "max_tokens": 4000,
        "stream": True,
    }


def test_a_tool_loop_with_thinking() -> None:
    turn = AssistantTurn(
        text="Looking.",
        reasoning=(
            ReasoningBlock(text="hm", signature="sig"),
            ReasoningBlock(redacted="opaque"),
            ReasoningBlock(text="unsigned"),
            ReasoningBlock(signature="omitted"),
        ),
        tool_calls=(ToolCall(id="a", name="f", arguments=""), ToolCall(id="b", name="g", arguments="{broken")),
    )
    results = ToolTurn(
        (
            ToolResult(call_id="a", name="f", content="1"),
            ToolResult(call_id="b", name="g", content="bad", is_error=True),
        )
    )
    assert messages(UserTurn("hi"), turn, results)[1:] == [
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "hm", "signature": "sig"},
                {"type": "redacted_thinking", "data": "opaque"},
                {"type": "thinking", "thinking": "", "signature": "omitted"},
                text("Looking."),
                {"type": "tool_use", "id": "a", "name": "f", "input": {}},
                {"type": "tool_use", "id": "b", "name": "g", "input": {"invalid_arguments": "{broken"}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {"type": "tool_result", "tool_use_id": "b", "content": "bad", "is_error": True},
            ],
        },
    ]


def test_empty_turns_are_left_out() -> None:
    assert messages(UserTurn("hi"), AssistantTurn(text=" \n"), UserTurn("you?")) == [
        {"role": "user", "content": [text("hi")]},
        {"role": "user", "content": [text("you?")]},
    ]
    with pytest.raises(ProviderRefused):
        build_body(request(UserTurn(" ")), MessagesDialect())


def test_temperature_is_refused_by_the_vendor_and_sent_to_others() -> None:
    warm = request(UserTurn("hi"), temperature=0.5)
    with pytest.raises(ProviderRefused):
        build_body(warm, MessagesDialect())
    assert build_body(warm, MessagesDialect(takes_temperature=True))["temperature"] == 0.5


def test_tools() -> None:
    tool = ToolSpec(name="f", description="d", parameters={"type": "object"})
    body = build_body(request(UserTurn("hi"), tools=(tool,)), MessagesDialect())
    assert body["tools"] == [{"name": "f", "description": "d", "input_schema": {"type": "object"}}]


@pytest.mark.parametrize(
    ("model", "effort", "sent"),
    [
        ("claude-sonnet-4-5", "off", {"thinking": {"type": "disabled"}}),
        ("claude-sonnet-4-5", "on", {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        ("claude-opus-4-20250514", "low", {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        ("claude-3-7-sonnet-latest", "medium", {"thinking": {"type": "enabled", "budget_tokens": 2000}}),
        ("eu.anthropic.claude-haiku-4-5", "high", {"thinking": {"type": "enabled", "budget_tokens": 3200}}),
        ("glm-9", "high", {"thinking": {"type": "enabled", "budget_tokens": 3200}}),
        ("claude-opus-4-7", "on", {"thinking": {"type": "adaptive"}}),
        ("claude-sonnet-5", "high", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}),
        ("claude-opus-4-6", "low", {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}}),
    ],
)
def test_reasoning(model: str, effort: ReasoningEffort, sent: dict[str, Any]) -> None:
    body = build_body(request(UserTurn("hi"), model=model, reasoning=effort), MessagesDialect())
    assert {key: body[key] for key in ("thinking", "output_config") if key in body} == sent
    assert body["max_tokens"] == 4000


def test_a_budget_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ProviderRefused, match="1024"):
        build_body(
            request(UserTurn("hi"), model="claude-sonnet-4-5", max_output_tokens=1024, reasoning="low"),
            MessagesDialect(),
        )
