"""Anthropic Messages: requests."""

import re
from typing import Any

import msgspec
import pytest

from retinue.domain.errors import ProviderRefused
from retinue.domain.model_io import (
    AssistantTurn,
    ModelRequest,
    PartKind,
    ReasoningBlock,
    Stretch,
    ToolCall,
    ToolResult,
    ToolSpec,
    ToolTurn,
    Turn,
    UserTurn,
)
from retinue.domain.policy import ReasoningEffort
from retinue.providers.anthropic.request import MessagesDialect, build_body

BUDGET, ADAPTIVE = "claude-sonnet-4-5", "claude-opus-4-7"
THOUGHT_AND_CALLED = AssistantTurn(
    reasoning=(ReasoningBlock(text="hm", signature="s1"),), tool_calls=(ToolCall(id="a", name="f", arguments=""),)
)
DONE = ToolTurn((ToolResult(call_id="a", name="f", content="1"),))
replace = msgspec.structs.replace


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


def test_blocks_go_back_in_the_order_in_which_they_came() -> None:
    turn = AssistantTurn(
        text="I look.\nDone?",
        reasoning=(ReasoningBlock(text="hm", signature="s1"), ReasoningBlock(redacted="opaque")),
        tool_calls=(ToolCall(id="a", name="f", arguments=""),),
        order=(
            Stretch(PartKind.REASONING, 1),
            Stretch(PartKind.TEXT, 7),
            Stretch(PartKind.REASONING, 1),
            Stretch(PartKind.TOOL_CALL, 1),
            Stretch(PartKind.TEXT, 6),
        ),
    )
    assert messages(UserTurn("hi"), turn)[1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s1"},
        text("I look."),
        {"type": "redacted_thinking", "data": "opaque"},
        {"type": "tool_use", "id": "a", "name": "f", "input": {}},
        text("\nDone?"),
    ]


def test_an_answer_does_not_end_in_thinking() -> None:
    thoughts = (ReasoningBlock(text="hm", signature="s1"), ReasoningBlock(redacted="opaque"))
    alone = AssistantTurn(reasoning=thoughts, text=" ")
    assert messages(UserTurn("hi"), alone, UserTurn("you?")) == messages(UserTurn("hi"), UserTurn("you?"))
    order = (Stretch(PartKind.REASONING, 1), Stretch(PartKind.TEXT, 5), Stretch(PartKind.REASONING, 1))
    last = AssistantTurn(reasoning=thoughts, text="Well.", order=order)
    assert messages(UserTurn("hi"), last, UserTurn("you?"))[1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "s1"},
        text("Well."),
    ]


def test_names_and_ids_are_spelled_as_the_vendor_takes_them() -> None:
    calls = (ToolCall(id="call:1", name="functions.look", arguments=""), ToolCall(id="call_1", name="", arguments=""))
    results = tuple(ToolResult(call_id=call.id, name=call.name, content="1") for call in calls)
    answer, told = messages(AssistantTurn(tool_calls=calls), ToolTurn(results))
    first, second = answer["content"]
    assert [block["tool_use_id"] for block in told["content"]] == [first["id"], second["id"]]
    assert re.fullmatch(r"call_1_[0-9a-f]{16}", first["id"])
    assert second["id"] == "call_1"
    assert [first["name"], second["name"]] == ["functions_look", "unnamed"]


def test_signatures_go_back_to_whoever_gave_them() -> None:
    turn = msgspec.structs.replace(THOUGHT_AND_CALLED, text="I look.", producer="me")
    asked = request(UserTurn("hi"), turn, DONE)
    kinds = {
        producer: [
            block["type"] for block in build_body(asked, MessagesDialect(producer=producer))["messages"][1]["content"]
        ]
        for producer in ("me", "other")
    }
    assert kinds == {"me": ["thinking", "text", "tool_use"], "other": ["text", "tool_use"]}


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


@pytest.mark.parametrize(
    ("model", "turn", "is_sent"),
    [
        (BUDGET, THOUGHT_AND_CALLED, True),
        (BUDGET, replace(THOUGHT_AND_CALLED, reasoning=(ReasoningBlock(redacted="r"),)), True),
        (BUDGET, replace(THOUGHT_AND_CALLED, producer="other"), False),
        (BUDGET, replace(THOUGHT_AND_CALLED, reasoning=()), False),
        (BUDGET, replace(THOUGHT_AND_CALLED, reasoning=(ReasoningBlock(text="unsigned"),)), False),
        (BUDGET, replace(THOUGHT_AND_CALLED, text="First", order=(Stretch(PartKind.TEXT, 5),)), False),
        ("glm-9", replace(THOUGHT_AND_CALLED, reasoning=(ReasoningBlock(text="hm"),), producer="me"), True),
        (ADAPTIVE, replace(THOUGHT_AND_CALLED, reasoning=()), True),
    ],
)
def test_no_budget_is_set_while_an_answer_goes_on_that_began_without_thinking(
    model: str, turn: AssistantTurn, is_sent: bool
) -> None:
    """With a budget the vendor refuses that; where the model decides itself, it does not."""
    dialect = MessagesDialect(producer="me")
    going_on = request(UserTurn("hi"), turn, DONE, UserTurn("and?"), model=model, reasoning="on")
    assert ("thinking" in build_body(going_on, dialect)) is is_sent
    over = request(UserTurn("hi"), turn, DONE, AssistantTurn(text="x"), UserTurn("?"), model=model, reasoning="on")
    assert "thinking" in build_body(over, dialect)
    assert build_body(replace(going_on, reasoning="off"), dialect)["thinking"] == {"type": "disabled"}


def test_a_budget_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ProviderRefused, match="1024"):
        build_body(
            request(UserTurn("hi"), model="claude-sonnet-4-5", max_output_tokens=1024, reasoning="low"),
            MessagesDialect(),
        )
